#include "filter.h"

#include <stdint.h>

#include "size.h"

#define WINOGRAD_CHANNELS_MIN 8   /* below, the transforms cost more than they save */
#define WINOGRAD_CHANNELS_MAX 256 /* above, the transformed weights take too much memory */

void filter_choose(struct filter *filter) {
  filter->form = FILTER_DIRECT;
  if (filter->kernel_rows != 3 || filter->kernel_columns != 3 || filter->stride != 1 ||
      filter->in_channels < WINOGRAD_CHANNELS_MIN)
    return;
  bool small =
      filter->in_channels <= WINOGRAD_CHANNELS_MAX && filter->out_channels <= WINOGRAD_CHANNELS_MAX;
  filter->form = small ? FILTER_WINOGRAD : FILTER_WIDE;
}

bool filter_sizes(const struct filter *filter, size_t *weights, size_t *bias) {
  size_t panels = simd_panels(filter->simd, filter->out_channels);
  *bias = panels * filter->simd->panel;
  return size_multiply(filter_points(filter), filter->in_channels, weights) &&
         size_multiply(*weights, *bias, weights) && *weights < SIZE_MAX / (2 * sizeof(float));
}
