/* A set of tokens in files of as many pictures each, PREFIX00000SUFFIX and so on, of which one is
 * in hand. They keep their temporary names until the last is whole. A picture's place on the list
 * of those that have tokens tells its file, so the sidecar only has to tell where in it the picture
 * ends.
 */
#ifndef COMMAND_TOKEN_SHARDS_H
#define COMMAND_TOKEN_SHARDS_H

#include "part_file.h"

struct token_shards {
  bool stream;  /* all pictures go to standard output, and nothing has a name */
  char *prefix; /* owned */
  int digits;
  const char *suffix;
  size_t each;           /* pictures a file */
  uint64_t header;       /* bytes before the first picture of a file */
  struct part_file part; /* the file in hand; its size is where the last picture ends */
  size_t pictures;       /* in all files */
  uint64_t found;        /* bytes that an earlier run left of the file in hand */
};

/** Opens the first file. The members of `shards` down to `header` are the caller's to fill in,
 * prefix from malloc and NULL where memory failed, and part PART_FILE_CLOSED; it is to be closed in
 * any case. Errors: WRITE,
 * MEMORY. */
enum vqct_status token_shards_open(struct token_shards *shards, struct vqct_error *error);

/** Takes a picture of an earlier run that ends at byte `end` of its file and has `least` bytes;
 * false where it is not whole. */
bool token_shards_recount(struct token_shards *shards, int64_t end, uint64_t least);

/** Drops what was not recounted. Errors: WRITE, MEMORY. */
enum vqct_status token_shards_cut(struct token_shards *shards, struct vqct_error *error);

/** The number of the file in hand, and how many pictures it has. */
size_t token_shards_number(const struct token_shards *shards);
size_t token_shards_filled(const struct token_shards *shards);

/** Goes on to an empty file. Errors: WRITE, MEMORY. */
enum vqct_status token_shards_next(struct token_shards *shards, struct vqct_error *error);

/** Gives all files their names, and removes those of an earlier run that are beyond. Errors: WRITE,
 * MEMORY. */
enum vqct_status token_shards_finish(struct token_shards *shards, struct vqct_error *error);

/** May be called again. */
void token_shards_close(struct token_shards *shards, enum part_end end);

#endif
