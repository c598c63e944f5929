/* The files beside an array of numbers that tell training stacks where its pictures lie.
 *
 * Megatron-LM's NAME.idx (megatron/core/datasets/indexed_dataset.py):
 *
 *   "MMIDIDX" and two zeros; u64 version 1; u8 type of the numbers (8: uint16, 4: int32)
 *   u64 sequences; u64 entries of documents
 *   i32 lengths of the sequences; i64 their places in bytes
 *   i64 documents, each by its first sequence, and the number of all sequences
 *
 * datatrove's (its tokenized files, which nanotron reads):
 *
 *   NAME.ds.index     u64 ends of the documents, in numbers
 *   NAME.ds.metadata  what made them and the size of a number; how many; that for people
 *
 * All little-endian. A view of a picture is a sequence, and all its views are a document; datatrove
 * has documents alone, and each view is one.
 */
#ifndef COMMAND_TOKEN_INDEX_H
#define COMMAND_TOKEN_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

#define TOKEN_INDEX_MAGIC     9  /* bytes of token_index_magic */
#define TOKEN_INDEX_HEADER    34 /* bytes before the lengths */
#define TOKEN_INDEX_DATATROVE ".index"

extern const char token_index_magic[TOKEN_INDEX_MAGIC];

/** What Megatron-LM calls int32 or uint16. */
int token_index_type(bool wide);

/** How many numbers each picture has. */
struct token_lengths {
  uint32_t *each; /* owned; NULL for none */
  size_t count, room;
};

/** Errors: MEMORY. */
enum vqct_status token_lengths_add(struct token_lengths *lengths, uint64_t length,
                                   struct vqct_error *error);

void token_lengths_free(struct token_lengths *lengths);

/** Removes the file path+suffix, an index of numbers that are about to change. It may not be there.
 */
void token_index_drop(const char *path, const char *suffix);

/** Writes the index at `path`; as many sequences as `document` says are one. Errors: WRITE, MEMORY.
 */
enum vqct_status token_index_megatron(const char *path, const struct token_lengths *lengths,
                                      unsigned document, bool wide, struct vqct_error *error);

/** Writes path.index and path.metadata. Errors: WRITE, MEMORY. */
enum vqct_status token_index_datatrove(const char *path, const struct token_lengths *lengths,
                                       bool wide, struct vqct_error *error);

/** Whether the index at `path` tells of `bytes` bytes of numbers, no more, no fewer and none twice.
 * Errors: READ, TOKENS (naming the file and what it says), MEMORY. */
enum vqct_status token_index_check_megatron(const char *path, uint64_t bytes, bool wide,
                                            struct vqct_error *error);

/** The same of path.index; `path` is that of the numbers. */
enum vqct_status token_index_check_datatrove(const char *path, uint64_t bytes, bool wide,
                                             struct vqct_error *error);

#endif
