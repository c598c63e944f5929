/* A prior out of captions and word vectors.
 *
 * Captions are read in batches, counted by a team of threads, cut to the words above a threshold
 * for which there is an embedding, and put in order: by falling count, then by the bytes of the
 * word. The result does not depend on the number of threads.
 */
#ifndef LANGUAGE_PRIOR_BUILD_H
#define LANGUAGE_PRIOR_BUILD_H

#include "captions.h"
#include "embeddings.h"
#include "pool.h"
#include "pos_model.h"
#include "prior.h"
#include "vqct/codebook.h"

struct prior_recipe {
  const char *const *captions; /* files */
  size_t caption_files;
  const char *column;     /* of tables, and the key of JSON's objects, that holds the captions */
  const char *embeddings; /* file */
  const char *words;      /* list of words beside a matrix, else NULL */
  uint64_t threshold;     /* words with a larger count are kept */
  const char *const *exclude; /* files of words that are not (exclusions.h) */
  size_t exclude_files;
  const char *note; /* for the provenance: sources and licences; NULL: none */
  const struct pos_model *tagger;
  const struct lexicon *lexicon;
  struct pool *pool; /* may be NULL */
  /** Told now and then what goes on and how much of it is done, 0 to 1; may be NULL. */
  void (*progress)(void *argument, const char *stage, double share);
  void *argument;
};

#define PRIOR_DEGREE_BINS 12

struct prior_part_report {
  uint64_t places;   /* in the captions */
  uint64_t distinct; /* words */
  uint64_t above;    /* words above the threshold */
  uint64_t missing;  /* of those, without an embedding: left out */
  uint64_t excluded; /* with one, but on a list of words that are not wanted: left out */
  uint64_t isolated; /* words of the prior without an edge */
  /* Words of the prior by number of neighbours: 0, 1, 2-3, 4-7, ..., 1024 and more. */
  uint64_t degrees[PRIOR_DEGREE_BINS];
  uint64_t degree_most;
};

struct prior_report {
  struct caption_counts captions;
  uint64_t tokens;                       /* words and marks */
  struct prior_part_report part[2];      /* VQCT_ADJECTIVE, VQCT_NOUN */
  uint64_t edges, edge_places;           /* of the prior: distinct, and their weights' sum */
  uint64_t pairs, pair_places;           /* of all counted words */
  struct word_table missing;             /* words above the threshold without an embedding */
  uint64_t rows, duplicates, not_finite; /* of the embeddings: see struct embeddings */
};

/** Builds a prior, which the caller frees, and reports. Errors: READ, DATA (also where no adjective
 * or no noun is left), LIMIT, INVALID, MEMORY; *prior is then empty and the report holds what was
 * found until then. */
enum vqct_status prior_build(const struct prior_recipe *recipe, struct prior *prior,
                             struct prior_report *report, struct vqct_error *error);

/** Frees what a report holds; a record of zeros is allowed. */
void prior_report_free(struct prior_report *report);

/** The least number of neighbours that falls into a bin of degrees. */
uint64_t prior_degree_bin(unsigned bin);

#endif
