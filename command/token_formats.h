/* The formats that tokens are written in. */
#ifndef COMMAND_TOKEN_FORMATS_H
#define COMMAND_TOKEN_FORMATS_H

#include "token_format.h"

#define TOKEN_SUFFIXES_READ ".npy, .bin, .idx (Megatron-LM) or .ds (datatrove)"
#define TOKEN_SUFFIXES                                                                             \
  ".npy, .bin, .idx (Megatron-LM), .ds (datatrove), .tokens.jsonl, .tar (webdataset) or .mds "     \
  "(MosaicML)"

/** The format that the ending of a path asks for. Errors: INVALID. */
enum vqct_status token_format_of(const char *path, const struct token_format **format,
                                 struct vqct_error *error);

/** The first `stem` characters of a path and another suffix, from malloc: the name of a file beside
 * it. NULL where memory fails. */
char *token_name_beside(const char *path, size_t stem, const char *suffix);

#endif
