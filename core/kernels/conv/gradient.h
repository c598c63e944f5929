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
#include "tiles.h"

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

/** Of tiles of 4 x 4 and of 6 x 6 those with which fewer products are made for a picture: the last
 * ones of each row and column are in part in vain, larger ones more so. */
static inline const struct winograd *gradient_algorithm(const struct simd *simd, int height,
                                                        int width) {
  const struct winograd *four = &simd->winograd[WINOGRAD_4], *six = &simd->winograd[WINOGRAD_6];
  size_t with_four = four->points * tiles_of(height, width, four->tile);
  size_t with_six = six->points * tiles_of(height, width, six->tile);
  return with_six < with_four ? six : four;
}

/** Any shape, as products of rows of dy and rows of x. */
enum vqct_status gradient_direct(const struct gradient *gradient, const struct exec *exec);

/** 3 x 3 kernels at stride 1, through minimal filtering: a quarter of the products or less. */
enum vqct_status gradient_winograd(const struct gradient *gradient, const struct exec *exec);

#endif
