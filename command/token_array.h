/* One file of pictures' numbers, one after the other, behind a header of fixed size whose content
 * is known at the end. The records of the sidecar tell where each picture's begin, as "offset". */
#ifndef COMMAND_TOKEN_ARRAY_H
#define COMMAND_TOKEN_ARRAY_H

#include <jansson.h>

#include "part_file.h"
#include "token_index.h"

struct token_array {
  struct part_file part;
  uint64_t header; /* bytes before the first number */
  uint64_t found;  /* bytes that an earlier run left */
  struct token_lengths lengths;
};

/** Opens the file at path, from malloc, which it takes and which may be NULL where there was no
 * memory for it. The record is to be closed all the same. Errors: WRITE, MEMORY. */
enum vqct_status token_array_open(struct token_array *array, char *path, uint64_t header,
                                  struct vqct_error *error);

/** The same on standard output: as it comes, or with a header where that is whole at the end. */
enum vqct_status token_array_open_output(struct token_array *array, uint64_t header,
                                         struct vqct_error *error);

/** Takes a picture of an earlier run; false where its `bytes` are not all there. */
bool token_array_recount(struct token_array *array, uint64_t numbers, uint64_t bytes);

/** Drops what was not recounted. Errors: WRITE. */
enum vqct_status token_array_cut(struct token_array *array, struct vqct_error *error);

/** Adds a picture, and where it begins to its record. Errors: WRITE, MEMORY. */
enum vqct_status token_array_append(struct token_array *array, size_t numbers, const void *bytes,
                                    size_t size, json_t *record, struct vqct_error *error);

/** May be called again. */
void token_array_close(struct token_array *array, enum part_end end);

#endif
