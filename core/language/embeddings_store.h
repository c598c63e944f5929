/* Where the readers of each form of file put the vectors that they find. Inner to embeddings*.c. */
#ifndef LANGUAGE_EMBEDDINGS_STORE_H
#define LANGUAGE_EMBEDDINGS_STORE_H

#include "embeddings.h"

struct embeddings_store {
  const struct embeddings_source *source;
  const struct word_table *wanted;
  struct embeddings *result;
  float *row; /* D numbers, for the reader to fill */
};

/** Makes room for vectors of D numbers; `line` 0 where the file has none. Errors: DATA (D is 0, or
 * larger than a prior can hold), MEMORY. */
enum vqct_status embeddings_begin(struct embeddings_store *store, size_t dimension, uint64_t line,
                                  struct vqct_error *error);

/** The number of a wanted word that has no vector yet, or WORD_NONE; counts the row, and a
 * duplicate. */
uint32_t embeddings_wants(struct embeddings_store *store, const char *word, size_t length);

/** Takes store->row as the vector of that word, unless a number of it is not finite. */
void embeddings_take(struct embeddings_store *store, uint32_t id);

/** Tells the progress, once in some thousand rows. */
void embeddings_tell(const struct embeddings_store *store, double share);

#endif
