/* Inside the convolution: one packed filter in one of its three forms.
 *
 * A filter is a correlation with a kernel of kernel_rows x kernel_columns taps; output (i, j) reads
 * input rows from i * stride - top and columns from j * stride - left on. A whole convolution is
 * one filter. So is its gradient for the input at stride 1; at stride 2 that gradient is four
 * filters, one for each parity of row and column.
 *
 * Direct form: for each row of taps the product of pixels and taps * channels. Winograd form: tiles
 * of outputs through one of the algorithms of simd.h; for F(4x4, 3x3) a quarter of the
 * multiplications and four times the weights. Wide form: the same with the weights as they are,
 * transformed panel by panel while the points of all tiles wait; for filters whose transformed
 * weights would fill the memory.
 */
#ifndef KERNELS_FILTER_H
#define KERNELS_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "conv.h"
#include "simd.h"

enum filter_form {
  FILTER_DIRECT,
  FILTER_WINOGRAD,
  FILTER_WIDE /* packed as the direct form, which also serves images too small for tiles */
};

struct filter {
  const struct simd *simd;
  enum filter_form form;
  const struct winograd *winograd; /* Winograd, wide */
  bool upsampled;                  /* the algorithm reads the input before it is upsampled */
  size_t in_channels, out_channels;
  int kernel_rows, kernel_columns, stride, top, left;
  /* Panel after panel of output channels. Direct, wide: row of taps, tap, input channel, panel.
   * Winograd: point, input channel, panel. A last panel of one vector is packed as narrow as that.
   */
  float *weights;
  float *bias; /* out_channels, padded with zeros to whole panels */
};

/** Decides the form by the filter's shape. use: what conv_new was told of it. */
void filter_choose(struct filter *filter, const struct conv_use *use);

/** Floats of weights, and of bias, for a filter whose form is chosen; false where that overflows.
 */
bool filter_sizes(const struct filter *filter, size_t *weights, size_t *bias);

/** Taps of the kernel, or points that they are transformed to. */
static inline size_t filter_points(const struct filter *filter) {
  return filter->form == FILTER_WINOGRAD
             ? filter->winograd->points
             : (size_t)filter->kernel_rows * (size_t)filter->kernel_columns;
}

/** Panel number `panel` of the packed weights, `depth` rows a panel. */
static inline const float *filter_panel(const struct filter *filter, size_t panel, size_t depth) {
  return filter->weights + panel * filter->simd->panel * depth;
}

#endif
