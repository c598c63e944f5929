/* The first half of building a prior: all captions counted by a team of threads. */
#ifndef LANGUAGE_PRIOR_COUNT_H
#define LANGUAGE_PRIOR_COUNT_H

#include "prior_build.h"
#include "vocabulary.h"

/** Counts the captions of all files of a recipe; the caller frees the vocabulary. counts tells what
 * was read and passed over. Errors: READ, DATA, MEMORY; the vocabulary is then empty. */
enum vqct_status prior_count(const struct prior_recipe *recipe, struct vocabulary *vocabulary,
                             struct caption_counts *counts, struct vqct_error *error);

#endif
