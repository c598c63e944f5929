/* Priors that others made, as files of ours.
 *
 * The released VQCT keeps its words in a pickle of one dictionary, which may also come as JSON:
 *
 *   adj_code_book_num, noun_code_book_num  word -> count, in the order of the rows; words that are
 *                                          counted more than 10 times are kept
 *   adj_code_book_vec, noun_code_book_vec  word -> vector: numbers, or a tensor or array of floats
 *   adj_noun_edges                         pairs of words, one for each place
 *
 * It finds the rows of an edge in one dictionary over both lists, so that the edges of a word that
 * is adjective and noun all belong to the noun's row. The prior says the same.
 */
#ifndef LANGUAGE_PRIOR_CONVERT_H
#define LANGUAGE_PRIOR_CONVERT_H

#include "prior.h"

/** Reads a prior: a file of ours, a pickle or JSON, told apart by their bytes. On failure *prior is
 * empty. Errors: READ, MODEL (naming the file and the fault), NOT_FINITE, MEMORY. */
enum vqct_status prior_convert(const char *path, struct prior *prior, struct vqct_error *error);

#endif
