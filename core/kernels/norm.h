/* Group normalisation as a scale and a shift for every image and channel.
 *
 * The convolution before it delivers the sums, the convolution after it applies the scale and
 * shift, so that the normalised tensor need never be in memory. Shapes: N images, P positions
 * (height times width), C channels, G groups of C / G neighbouring channels.
 */
#ifndef KERNELS_NORM_H
#define KERNELS_NORM_H

#include <stdbool.h>
#include <stddef.h>

#include "exec.h"
#include "vqct/status.h"

#define NORM_EPSILON 1e-6 /* added to the variance, as the network was published */

/** Statistics of x (N,P,C) where no convolution delivered them: sums and squares, N,G each,
 * overwritten. The same for every number of threads and images. Errors: MEMORY (scratch). */
enum vqct_status group_norm_statistics(const float *x, size_t images, size_t positions,
                                       size_t channels, size_t groups, double *sums,
                                       double *squares, const struct exec *exec);

/** Turns statistics into scale and shift, N,C each:
 *     (x - mean) / sqrt(variance + NORM_EPSILON) * gamma + beta  =  x * scale + shift
 * gamma and beta: C. */
void group_norm_scale(const double *sums, const double *squares, const float *gamma,
                      const float *beta, size_t images, size_t positions, size_t channels,
                      size_t groups, float *scale, float *shift);

/** y = x * scale + shift, then swish if asked for: x and y N,P,C, scale and shift N,C. y may be
 * x. For readers other than convolutions, which do this themselves. */
void norm_apply(const float *x, size_t images, size_t positions, size_t channels,
                const float *scale, const float *shift, bool swish, float *y,
                const struct exec *exec);

#endif
