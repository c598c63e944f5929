/* The second half of a spatial norm, backwards: a = swish(n * scale + shift), n the normalised x.
 */
#ifndef NETWORK_SPATIAL_NORM_BACKWARD_H
#define NETWORK_SPATIAL_NORM_BACKWARD_H

#include "norm_input.h"

/** From the gradient da (N,H,W,C) of what a convolution read through the norm, in place, to that of
 * n; dscale and dshift (N,h,w,C): those of scale and shift, overwritten. The same for every number
 * of threads. Errors: MEMORY (scratch). */
enum vqct_status spatial_norm_backward(const struct norm *norm, int groups,
                                       const struct activation *x, const struct activation *codes,
                                       bool swish, float *da, float *dscale, float *dshift,
                                       const struct exec *exec);

#endif
