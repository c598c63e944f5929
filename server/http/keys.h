/* API keys: a file of SHA-256 hashes, so that the file alone opens nothing.
 *
 * A line is 64 hexadecimal digits, the SHA-256 of one key, and may be followed by blanks and a name
 * for the log; empty lines and lines that start with # do not count. */
#ifndef HTTP_KEYS_H
#define HTTP_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "vqct/status.h"

#define KEY_NAME_MAX 64

struct keys;

/** Reads a key file of at most 1 MiB. Errors: READ, DATA (naming the line), MEMORY. */
enum vqct_status keys_read(const char *path, struct keys **keys, struct vqct_error *error);

/** NULL is allowed. */
void keys_free(struct keys *keys);

/** The name of a key, "" if it has none; NULL where the key is not known. The time does not depend
 * on which hash matches or how far. */
const char *keys_find(const struct keys *keys, const char *key);

#endif
