/* The backward pass of single-head attention over positions. */
#ifndef KERNELS_ATTENTION_BACKWARD_H
#define KERNELS_ATTENTION_BACKWARD_H

#include <stddef.h>

#include "exec.h"
#include "vqct/status.h"

/** Gradients of mixed = softmax(q k^T C^-1/2) v for N images of T positions and C channels; all
 * arrays are N,T,C. dquery, dkey and dvalue are overwritten. The probabilities are computed again
 * in blocks of rows, so scratch grows with T, not with T squared. The same for every number of
 * threads. Errors: MEMORY (scratch). */
enum vqct_status attention_backward(const float *query, const float *key, const float *value,
                                    const float *dmixed, size_t images, size_t positions,
                                    size_t channels, float *dquery, float *dkey, float *dvalue,
                                    const struct exec *exec);

#endif
