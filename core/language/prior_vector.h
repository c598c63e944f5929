/* A vector of numbers as pickles and JSON hold it. */
#ifndef LANGUAGE_PRIOR_VECTOR_H
#define LANGUAGE_PRIOR_VECTOR_H

#include "pickle.h"

/** Reads a list of numbers, a tensor of PyTorch or an array of numpy, of one dimension or one row.
 * *values comes from malloc. Errors: MODEL, MEMORY; *values is then NULL. */
enum vqct_status prior_vector_read(const struct pickle_value *value, float **values, size_t *count,
                                   struct vqct_error *error);

#endif
