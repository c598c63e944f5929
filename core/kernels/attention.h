/* Single-head self-attention over all positions of an image.
 *
 * Shapes: N images, T positions (height times width), C channels.
 */
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include <stddef.h>

#include "exec.h"
#include "vqct/status.h"

#define ATTENTION_ROWS 64 /* queries handled together: what bounds the memory to 64 T numbers */

/** y = softmax(q k^T C^-1/2) v. query, key, value and y: N,T,C; y must not overlap the others. The
 * same bit for bit for every number of images and threads. Errors: MEMORY (scratch). */
enum vqct_status attention_forward(const float *query, const float *key, const float *value,
                                   size_t images, size_t positions, size_t channels, float *y,
                                   const struct exec *exec);

#endif
