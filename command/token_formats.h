/* The formats that tokens are written in. */
#ifndef COMMAND_TOKEN_FORMATS_H
#define COMMAND_TOKEN_FORMATS_H

#include "token_format.h"

#define TOKEN_SUFFIXES                                                                             \
  ".npy, .bin, .idx (Megatron-LM), .ds (datatrove), .tokens.jsonl, .tar (webdataset) or .mds "     \
  "(MosaicML)"

/** The names of the formats, as the choices of an option. */
#define TOKEN_FORMAT_NAMES "npy|bin|megatron|datatrove|jsonl|webdataset|mds"

/** The format of index `choice` in TOKEN_FORMAT_NAMES. */
const struct token_format *token_format_named(size_t choice);

/** The format that the ending of a path asks for. Errors: INVALID. */
enum vqct_status token_format_of(const char *path, const struct token_format **format,
                                 struct vqct_error *error);

#endif
