#include "filter.h"

#include <stdint.h>

#include "size.h"

#define CHANNELS_MIN 8 /* below, transforms cost more than they save */
/* Transformed weights above this would take too much memory; and where they serve few positions,
 * more time to read than to transform again. */
#define KEPT_MAX     ((size_t)36 * 256 * 256)
#define KEPT_MAX_FEW ((size_t)100 * 64 * 64)
/* Tiles of 6 x 6: above, reading the weights again and again takes what fewer products save. */
#define SIX_MAX ((size_t)64 * 32 * 64)

static bool is_within(const struct filter *filter, enum winograd_kind kind, size_t most) {
  most /= filter->simd->winograd[kind].points;
  return filter->out_channels <= most / filter->in_channels;
}

static enum winograd_kind choose_algorithm(const struct filter *filter,
                                           const struct conv_use *use) {
  if (filter->stride == 2)
    return WINOGRAD_DOWN;
  if (filter->upsampled)
    return use->precise ? WINOGRAD_UP_4 : WINOGRAD_UP_6;
  return !use->precise && is_within(filter, WINOGRAD_6, SIX_MAX) ? WINOGRAD_6 : WINOGRAD_4;
}

void filter_choose(struct filter *filter, const struct conv_use *use) {
  filter->form = FILTER_DIRECT;
  if (filter->kernel_rows != 3 || filter->kernel_columns != 3 || filter->in_channels < CHANNELS_MIN)
    return;
  filter->upsampled = use->upsample && filter->stride == 1 && filter->top == 1 && filter->left == 1;
  enum winograd_kind kind = choose_algorithm(filter, use);
  filter->winograd = &filter->simd->winograd[kind];
  filter->form =
      is_within(filter, kind, use->few ? KEPT_MAX_FEW : KEPT_MAX) ? FILTER_WINOGRAD : FILTER_WIDE;
}

bool filter_sizes(const struct filter *filter, size_t *weights, size_t *bias) {
  size_t panels = simd_panels(filter->simd, filter->out_channels);
  *bias = panels * filter->simd->panel;
  return size_multiply(filter_points(filter), filter->in_channels, weights) &&
         size_multiply(*weights, *bias, weights) && *weights < SIZE_MAX / (2 * sizeof(float));
}
