#include "filter.h"

#include <stdint.h>

#include "size.h"

#define WINOGRAD_CHANNELS_MIN 8   /* below, the transforms cost more than they save */
#define WINOGRAD_CHANNELS_MAX 256 /* above, the transformed weights take too much memory */
#define SIX_CHANNELS_MAX      128 /* tiles of 6 x 6: above, likewise */

/* The largest of a filter's channel counts. */
static size_t most_channels(const struct filter *filter) {
  return filter->in_channels > filter->out_channels ? filter->in_channels : filter->out_channels;
}

void filter_choose(struct filter *filter, const struct conv_use *use) {
  filter->form = FILTER_DIRECT;
  if (filter->kernel_rows != 3 || filter->kernel_columns != 3 ||
      filter->in_channels < WINOGRAD_CHANNELS_MIN)
    return;
  filter->upsampled = use->upsample && filter->stride == 1 && filter->top == 1 && filter->left == 1;
  bool six = !use->precise && most_channels(filter) <= SIX_CHANNELS_MAX;
  enum winograd_kind kind = filter->stride == 2 ? WINOGRAD_DOWN
                            : filter->upsampled ? WINOGRAD_UP
                            : six               ? WINOGRAD_6
                                                : WINOGRAD_4;
  filter->winograd = &filter->simd->winograd[kind];
  filter->form = most_channels(filter) <= WINOGRAD_CHANNELS_MAX ? FILTER_WINOGRAD : FILTER_WIDE;
}

bool filter_sizes(const struct filter *filter, size_t *weights, size_t *bias) {
  size_t panels = simd_panels(filter->simd, filter->out_channels);
  *bias = panels * filter->simd->panel;
  return size_multiply(filter_points(filter), filter->in_channels, weights) &&
         size_multiply(*weights, *bias, weights) && *weights < SIZE_MAX / (2 * sizeof(float));
}
