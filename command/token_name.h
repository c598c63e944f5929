/* Names of the files of a set of tokens, which stand beside each other. */
#ifndef COMMAND_TOKEN_NAME_H
#define COMMAND_TOKEN_NAME_H

#include <stddef.h>

/** The first `stem` characters of a path and another suffix, from malloc: the name of a file beside
 * it. NULL where memory fails. */
char *token_name_beside(const char *path, size_t stem, const char *suffix);

#endif
