/* A spatial norm is computed on the grid of codes: upsampling by nearest commutes with 1x1
 * convolutions, so each code has one scale and one shift a channel, which the convolution reads by
 * blocks of positions.
 */
#include "norm_input.h"

#include "norm.h"
#include "size.h"

struct conv_input norm_input_plain(const struct activation *x) {
  return (struct conv_input){
      .x = x->data, .images = x->images, .height = x->height, .width = x->width};
}

static float *take(const struct exec *exec, size_t images, size_t positions, size_t channels) {
  size_t count, bytes;
  return size_multiply(images * positions, channels, &count) &&
                 size_multiply(count, sizeof(float), &bytes)
             ? arena_alloc(exec->arena, bytes)
             : NULL;
}

/* (x * scale + shift) * by + to, as a new scale and shift in place of `by` and `to`. */
static void compose(const struct conv_input *input, size_t images, size_t positions,
                    size_t channels, float *by, float *to) {
  for (size_t i = 0; i < images * positions; i++)
    for (size_t c = 0; c < channels; c++) {
      size_t of_image = i / positions * channels + c, at = i * channels + c;
      to[at] += input->shift[of_image] * by[at];
      by[at] *= input->scale[of_image];
    }
}

static enum vqct_status read_spatial(const struct norm *norm, const struct activation *x,
                                     const struct activation *codes, struct conv_input *input,
                                     const struct exec *exec) {
  size_t images = (size_t)x->images, channels = (size_t)x->channels;
  size_t positions = (size_t)codes->height * (size_t)codes->width;
  struct conv_input given = norm_input_plain(codes);
  float *result[SPATIAL_LAYERS];
  for (int i = 0; i < SPATIAL_LAYERS; i++) {
    struct conv_output output = {.y = result[i] = take(exec, images, positions, channels)};
    if (!output.y || conv_forward(norm->layer[i].conv, &given, &output, exec) != VQCT_OK)
      return VQCT_MEMORY;
  }
  compose(input, images, positions, channels, result[SPATIAL_SCALE], result[SPATIAL_SHIFT]);
  input->scale = result[SPATIAL_SCALE];
  input->shift = result[SPATIAL_SHIFT];
  input->block = x->height / codes->height;
  return VQCT_OK;
}

enum vqct_status norm_input_read(const struct norm *norm, int groups, const struct activation *x,
                                 const struct activation *codes, bool swish,
                                 struct conv_input *input, const struct exec *exec) {
  size_t images = (size_t)x->images, channels = (size_t)x->channels;
  float *scale = take(exec, images, 1, channels), *shift = take(exec, images, 1, channels);
  if (!scale || !shift)
    return VQCT_MEMORY;
  group_norm_scale(x->sums, x->squares, norm->gamma, norm->beta, images,
                   (size_t)x->height * (size_t)x->width, channels, (size_t)groups, scale, shift);
  *input = norm_input_plain(x);
  input->scale = scale;
  input->shift = shift;
  input->swish = swish;
  return norm->spatial ? read_spatial(norm, x, codes, input, exec) : VQCT_OK;
}
