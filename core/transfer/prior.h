/* The prior: what a language model and a pile of captions know about visual words.
 *
 *   struct prior prior;
 *   if (prior_read("prior.safetensors", &prior, &error) == VQCT_OK) {
 *     use(prior.embeddings, prior.words, prior.dimension);
 *     prior_free(&prior);
 *   }
 *
 * N words, of which the first Na are adjectives and the other Nn nouns; a word that is both stands
 * twice. D is the dimension of the embeddings. A prior is read-only once it is made, so any number
 * of threads may read one.
 */
#ifndef TRANSFER_PRIOR_H
#define TRANSFER_PRIOR_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "vqct/status.h"

/** How often one word stood directly before another: in priors that are built here, the adjective
 * of row `first` before the noun of row `second`. */
struct prior_edge {
  uint32_t first, second; /* rows, 0 to N - 1; first is below second */
  uint32_t weight;        /* places in the captions, at least 1 */
};

/* The most that a prior may hold; files that claim more are refused. */
#define PRIOR_WORDS_MAX      ((size_t)1 << 20)
#define PRIOR_EDGES_MAX      ((size_t)1 << 26)
#define PRIOR_DIMENSION_MAX  ((size_t)1 << 16)
#define PRIOR_WORD_BYTES_MAX ((size_t)255)

struct prior {
  size_t adjectives, nouns; /* Na, Nn: at least 1 each */
  size_t words;             /* N = Na + Nn */
  size_t dimension;         /* D, at least 1 */
  size_t edge_count;
  const char *const *word;        /* N: UTF-8, lower case, no control characters, unique within each
                                   * part of speech */
  const uint64_t *count;          /* N: occurrences in the captions */
  const float *embeddings;        /* N,D: finite */
  const struct prior_edge *edges; /* by first, then second row; each pair once */
  const char *provenance;         /* where it came from: a JSON object, not checked */
  struct arena memory;            /* holds all of the above */
};

/** Checks everything that the comments in struct prior promise. Errors: MODEL, naming the part;
 * NOT_FINITE. */
enum vqct_status prior_check(const struct prior *prior, struct vqct_error *error);

/** Reads a prior file and checks it. On failure *prior is empty. Errors: READ, MODEL (naming the
 * tensor and fault), NOT_FINITE, MEMORY. */
enum vqct_status prior_read(const char *path, struct prior *prior, struct vqct_error *error);

/** Checks a prior and writes it as one safetensors file, through a temporary file and a rename.
 * Errors: MODEL, NOT_FINITE, WRITE, MEMORY. */
enum vqct_status prior_write(const char *path, const struct prior *prior, struct vqct_error *error);

/** Frees what a prior holds; an empty one is allowed. */
void prior_free(struct prior *prior);

#endif
