/* How well a tagger does, as the `prior` commands print it. */
#ifndef COMMAND_TAGGER_SCORES_H
#define COMMAND_TAGGER_SCORES_H

#include "language.h"
#include "options.h"

/** Prints one line for each file of tagged text: share of right tags, F1 of adjectives and nouns,
 * words a second. Errors: READ, DATA, MEMORY. */
enum vqct_status tagger_print_scores(const struct language *language,
                                     const struct option_list *files, struct vqct_error *error);

#endif
