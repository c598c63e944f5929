/* Which columns of a region lie inside the picture is the same for each of its rows and found once;
 * the prologue then runs over pixels that lie side by side, and zeros are set around them.
 */
#include "gather.h"

#include <string.h>

static int clamp(int value, int low, int high) {
  return value < low ? low : value > high ? high : value;
}

/* Columns first to end - 1 of one row where each block of positions has its own scale and shift;
 * the prologue has the rest. */
static void gather_blocks(const struct simd *simd, const struct conv_input *input,
                          size_t in_channels, size_t image, int row, int first, int end,
                          size_t first_channel, struct prologue *prologue) {
  int block = input->block;
  size_t columns = (size_t)(input->width / block);
  size_t line = image * (size_t)(input->height / block) + (size_t)(row / block);
  while (first < end) {
    int next = first / block * block + block;
    size_t at = (line * columns + (size_t)(first / block)) * in_channels + first_channel;
    prologue->pixels = (size_t)((next < end ? next : end) - first);
    prologue->scale = input->scale + at;
    prologue->shift = input->shift + at;
    simd->prologue(prologue);
    prologue->x += prologue->pixels * prologue->x_stride;
    prologue->to += prologue->pixels * prologue->to_stride;
    first += (int)prologue->pixels;
  }
}

/* Columns first to end - 1 of one row, all inside the picture. */
static void gather_run(const struct simd *simd, const struct conv_input *input, size_t in_channels,
                       size_t image, int row, int first, int end, const struct region *region,
                       size_t pixel_stride, float *to) {
  int factor = input->upsample ? 2 : 1;
  size_t line = (image * (size_t)input->height + (size_t)(row / factor)) * (size_t)input->width;
  size_t of_image = image * in_channels + region->first_channel;
  struct prologue prologue = {
      .x_stride = in_channels,
      .channels = region->channels,
      .scale = input->scale ? input->scale + of_image : NULL,
      .shift = input->scale ? input->shift + of_image : NULL,
      .swish = input->swish,
      .to_stride = pixel_stride,
      .ahead = (size_t)input->width * in_channels, /* the row below */
  };
  if (factor == 1) {
    prologue.x = input->x + (line + (size_t)first) * in_channels + region->first_channel;
    prologue.pixels = (size_t)(end - first);
    prologue.to = to;
    if (input->block)
      gather_blocks(simd, input, in_channels, image, row, first, end, region->first_channel,
                    &prologue);
    else
      simd->prologue(&prologue);
    return;
  }
  for (int column = first; column < end; column++) {
    prologue.x = input->x + (line + (size_t)(column / 2)) * in_channels + region->first_channel;
    prologue.pixels = 1;
    prologue.to = to + (size_t)(column - first) * pixel_stride;
    simd->prologue(&prologue);
  }
}

void gather(const struct simd *simd, const struct conv_input *input, size_t in_channels,
            size_t image, const struct region *region, size_t pixel_stride, float *to) {
  int factor = input->upsample ? 2 : 1;
  int width = input->width * factor, height = input->height * factor;
  int first = clamp(region->column, 0, width);
  int end = clamp(region->column + region->columns, first, width);
  size_t before = (size_t)clamp(first - region->column, 0, region->columns) * pixel_stride;
  size_t inside = (size_t)(end - first) * pixel_stride;
  size_t line = (size_t)region->columns * pixel_stride;
  for (int row = region->row; row < region->row + region->rows; row++, to += line) {
    if (row < 0 || row >= height || !inside) {
      memset(to, 0, line * sizeof *to);
      continue;
    }
    memset(to, 0, before * sizeof *to);
    gather_run(simd, input, in_channels, image, row, first, end, region, pixel_stride, to + before);
    memset(to + before + inside, 0, (line - before - inside) * sizeof *to);
  }
}
