/* What a format does to read a set of tokens again. token_file.h reads the sidecar and drives one:
 *
 *   open  -> with what the sidecar's first line says of the set
 *   find  -> once for each picture that has tokens, in their order, with its line
 *   close -> in any case; until then the bytes that were found stay
 *
 * Nothing that a file or the sidecar says is believed before it is compared with what is there.
 */
#ifndef COMMAND_TOKEN_READING_H
#define COMMAND_TOKEN_READING_H

#include <jansson.h>

#include "tensor.h"
#include "token_layout.h"

/** What is known of a set before its pictures are. */
struct token_set {
  const char *path;      /* as it was given, which ends in the format's suffix */
  enum tensor_type type; /* U16 or U32 */
  struct token_layout layout;
  size_t planes;
  size_t shard_rows; /* rows of each file of a sharded format; 0: not told */
};

/** What the sidecar says of a picture. */
struct token_line {
  const json_t *record;
  size_t row; /* of those that have tokens */
  size_t height, width;
  uint64_t numbers; /* how many, in the set's layout */
};

/** Where its numbers are: little-endian ones of the set's type, or text. */
struct token_bytes {
  const unsigned char *data;
  size_t size;
};

/** The files, which the format defines. */
struct token_reader;

struct token_reading {
  bool text; /* what is found is an object of JSON whose "tokens" are the numbers */

  /** The set outlives the reader. Errors: READ, DATA, MEMORY; *reader is then NULL. */
  enum vqct_status (*open)(const struct token_set *set, struct token_reader **reader,
                           struct vqct_error *error);

  /** Errors: READ, TOKENS, DATA, MEMORY, naming the file. */
  enum vqct_status (*find)(struct token_reader *reader, const struct token_line *line,
                           struct token_bytes *bytes, struct vqct_error *error);

  /** NULL is allowed. */
  void (*close)(struct token_reader *reader);
};

extern const struct token_reading token_reading_array, token_reading_lines,
    token_reading_webdataset, token_reading_mds;

#endif
