/* Room for the wanted words alone, however large the file: a reader asks for each word before it
 * reads its numbers, fills the row and hands it over, which is copied only if all of it is finite.
 */
#include "embeddings_store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "prior.h"
#include "size.h"

#define ROWS_A_TELL 4096

enum vqct_status embeddings_begin(struct embeddings_store *store, size_t dimension, uint64_t line,
                                  struct vqct_error *error) {
  const char *path = store->source->path;
  struct embeddings *result = store->result;
  if (dimension < 1 || dimension > PRIOR_DIMENSION_MAX) {
    error_set(error, VQCT_DATA, "vectors of %zu numbers: from 1 to %zu are possible", dimension,
              PRIOR_DIMENSION_MAX);
    return line ? error_prefix(error, "%s:%llu", path, (unsigned long long)line)
                : error_prefix(error, "%s", path);
  }
  size_t words = store->wanted->count, count;
  if (size_multiply(words, dimension, &count)) {
    result->vectors = calloc(count + 1, sizeof *result->vectors);
    result->found = calloc(words + 1, sizeof *result->found);
    store->row = calloc(dimension, sizeof *store->row);
  }
  if (!result->vectors || !result->found || !store->row)
    return error_set(error, VQCT_MEMORY, "%s: no memory for %zu vectors of %zu numbers", path,
                     words, dimension);
  result->dimension = dimension;
  return VQCT_OK;
}

uint32_t embeddings_wants(struct embeddings_store *store, const char *word, size_t length) {
  store->result->rows++;
  uint32_t id = word_table_find(store->wanted, word, length);
  if (id == WORD_NONE || !store->result->found[id])
    return id;
  store->result->duplicates++;
  return WORD_NONE;
}

void embeddings_take(struct embeddings_store *store, uint32_t id) {
  struct embeddings *result = store->result;
  for (size_t i = 0; i < result->dimension; i++)
    if (!isfinite(store->row[i])) {
      result->not_finite++;
      return;
    }
  result->found[id] = true;
  memcpy(result->vectors + id * result->dimension, store->row,
         result->dimension * sizeof *result->vectors);
}

void embeddings_tell(const struct embeddings_store *store, double share) {
  if (store->source->progress && store->result->rows % ROWS_A_TELL == 0)
    store->source->progress(store->source->argument, share);
}
