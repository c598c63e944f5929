/* Word vectors from the files that people have: only those of the words that are wanted.
 *
 * Five forms, told apart by their first bytes:
 *   text         one word and D numbers a line, as GloVe, fastText (.vec) and word2vec write; plain
 *                or gzip, with or without word2vec's first line of two counts
 *   binary       word2vec's .bin: that line, then each word, a blank and D floats; plain or gzip
 *   JSON         of the npm packages wink-embeddings-sg-*d: {"dimensions": D, "vectors": {"word":
 *                [D numbers and some more], ...}}; plain or gzip, read as a stream
 *   npy          a matrix of floats, one row a word, with a list of words beside it
 *   safetensors  the same; the tensor "embeddings", or the only matrix of floats in the file
 */
#ifndef LANGUAGE_EMBEDDINGS_H
#define LANGUAGE_EMBEDDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"
#include "word_table.h"

struct embeddings {
  size_t dimension; /* D */
  float *vectors;   /* wanted words, D: finite; zeros for a word that is missing */
  bool *found;      /* wanted words */
  uint64_t rows;    /* vectors in the file */
  /* Of the wanted words: */
  size_t missing;    /* not found */
  size_t duplicates; /* further rows of a word already found; the first one counts */
  size_t not_finite; /* rows with NaN or infinity, passed over */
  /* Of the whole file: */
  size_t spaced; /* rows whose word holds a space, passed over: such a word is never wanted */
};

struct embeddings_source {
  const char *path;
  const char *words_path; /* npy and safetensors: one word a line, plain or gzip; else NULL */
  void (*progress)(void *argument, double share); /* called now and then, 0 to 1; may be NULL */
  void *argument;
};

/** Looks the wanted words up. Errors, each with file and line: READ, DATA (rows of unequal length,
 * something that is no number, another form, a list that does not fit its matrix), MODEL (damaged
 * safetensors), LIMIT, INVALID (words_path missing, or given in vain), MEMORY; the result is then
 * empty. */
enum vqct_status embeddings_load(const struct embeddings_source *source,
                                 const struct word_table *wanted, struct embeddings *result,
                                 struct vqct_error *error);

/** Frees and clears; may be called again. */
void embeddings_free(struct embeddings *embeddings);

#endif
