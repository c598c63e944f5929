/* Both gradients of a convolution of few channels at once. */
#ifndef KERNELS_GRADIENT_BOTH_H
#define KERNELS_GRADIENT_BOTH_H

#include "gradient.h"

/** Whether gradient_both serves this shape and is worth it: 3 x 3 kernels at stride 1 whose points
 * stay in the caches, and enough positions for the team. */
bool gradient_both_pays(const struct gradient *gradient);

/** The gradient for the weights, and into dx that for what the prologue gave, before upsampling:
 * images,height,width,in_channels of gradient->input, overwritten. weight: O,I,3,3. Errors: MEMORY.
 */
enum vqct_status gradient_both(const struct gradient *gradient, const float *weight, float *dx,
                               const struct exec *exec);

#endif
