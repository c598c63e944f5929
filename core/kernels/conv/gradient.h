/* The gradient of a convolution for its weights, in its two forms.
 *
 * Both work through the batch in bands: first all workers read a band's input and output gradient
 * into scratch, then each multiplies its own part of the weights' gradient, which is added to band
 * after band. So sums run in the order of the batch, whoever computes them.
 */
#ifndef KERNELS_GRADIENT_H
#define KERNELS_GRADIENT_H

#include "conv.h"
#include "simd.h"

/** What both forms are given; height and width are those of dy. */
struct gradient {
  const struct conv_shape *shape;
  const struct conv_input *input;
  const struct simd *simd;
  const float *dy;
  int height, width;
  float *dweight; /* O,I,K,K, added to */
};

/** Whether a transformed point is 0 for an upsampled input: along each axis the point -1, the
 * third of `side`, takes equal neighbours to 0, where tiles begin with a pair or windows with the
 * end of one. */
static inline bool gradient_point_idle(const struct gradient *gradient, size_t side, size_t point) {
  return gradient->input->upsample && (point / side == 2 || point % side == 2);
}

/** Any shape, as products of rows of dy and rows of x. */
enum vqct_status gradient_direct(const struct gradient *gradient, const struct exec *exec);

/** 3 x 3 kernels at stride 1, through the transforms of F(4x4, 3x3): a quarter of the products. */
enum vqct_status gradient_winograd(const struct gradient *gradient, const struct exec *exec);

#endif
