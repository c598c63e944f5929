/* What users of a convolution see. A forward pass is one filter in the form that its shape calls
 * for; so is the gradient for the input at stride 1, and at stride 2 four of them, one for each
 * parity of row and column (filter.h). Filters of gradients are packed for each call, since their
 * weights change with every step.
 */
#include "conv.h"

#include <stdlib.h>

#include "error.h"
#include "filter_pack.h"
#include "filter_run.h"
#include "size.h"

struct conv {
  struct conv_shape shape;
  struct filter filter;
};

int conv_output_size(const struct conv_shape *shape, int size) {
  int padded = size + shape->pad_before + shape->pad_after;
  return padded < shape->kernel ? 0 : (padded - shape->kernel) / shape->stride + 1;
}

static bool shape_valid(const struct conv_shape *s) {
  return s->in_channels > 0 && s->out_channels > 0 && (s->stride == 1 || s->stride == 2) &&
         s->kernel >= s->stride && s->kernel <= CONV_KERNEL_MAX && s->pad_before >= 0 &&
         s->pad_before < s->kernel && s->pad_after >= 0 && s->pad_after < s->kernel;
}

static struct filter forward_filter(const struct conv_shape *s, const struct conv_use *use) {
  struct filter filter = {
      .simd = simd_best(use->simd),
      .in_channels = (size_t)s->in_channels,
      .out_channels = (size_t)s->out_channels,
      .kernel_rows = s->kernel,
      .kernel_columns = s->kernel,
      .stride = s->stride,
      .top = s->pad_before,
      .left = s->pad_before,
  };
  filter_choose(&filter, use);
  return filter;
}

static float *floats_new(size_t count) {
  size_t bytes = count * sizeof(float) + ARENA_ALIGNMENT - 1;
  return aligned_alloc(ARENA_ALIGNMENT, bytes - bytes % ARENA_ALIGNMENT);
}

enum vqct_status conv_new(const struct conv_shape *shape, const float *weight, const float *bias,
                          const struct conv_use *use, struct conv **result,
                          struct vqct_error *error) {
  static const struct conv_use any = {0};
  *result = NULL;
  if (!shape_valid(shape))
    return error_set(error, VQCT_INVALID,
                     "a convolution of %d to %d channels, kernel %d, stride %d, padding %d and %d",
                     shape->in_channels, shape->out_channels, shape->kernel, shape->stride,
                     shape->pad_before, shape->pad_after);
  struct conv *conv = calloc(1, sizeof *conv);
  size_t weights, biases;
  if (!conv)
    goto no_memory;
  conv->shape = *shape;
  conv->filter = forward_filter(shape, use ? use : &any);
  if (!filter_sizes(&conv->filter, &weights, &biases) ||
      !(conv->filter.weights = floats_new(weights)) || !(conv->filter.bias = floats_new(biases)))
    goto no_memory;
  conv_update(conv, weight, bias, NULL);
  *result = conv;
  return VQCT_OK;
no_memory:
  conv_free(conv);
  return error_set(error, VQCT_MEMORY,
                   "no memory for the weights of a convolution of %d to %d channels",
                   shape->in_channels, shape->out_channels);
}

void conv_update(struct conv *conv, const float *weight, const float *bias, struct pool *pool) {
  ptrdiff_t kernel = conv->shape.kernel, in = conv->shape.in_channels;
  struct weight_view view = {weight, in * kernel * kernel, kernel * kernel, kernel, 1};
  filter_pack(&conv->filter, &view, bias, pool);
}

void conv_free(struct conv *conv) {
  if (!conv)
    return;
  free(conv->filter.weights);
  free(conv->filter.bias);
  free(conv);
}

enum vqct_status conv_forward(const struct conv *conv, const struct conv_input *input,
                              const struct conv_output *output, const struct exec *exec) {
  if (conv->filter.upsampled && !input->upsample)
    return VQCT_INTERNAL;
  int factor = input->upsample ? 2 : 1;
  struct conv_output added = *output;
  if (output->shortcut)
    added.residual = output->y;
  struct filter_target target = {
      .output = &added,
      .shortcut = output->shortcut ? &output->shortcut->conv->filter : NULL,
      .height = conv_output_size(&conv->shape, input->height * factor),
      .width = conv_output_size(&conv->shape, input->width * factor),
      .step = 1,
  };
  target.rows = target.height;
  target.columns = target.width;
  return filter_run(&conv->filter, input, &target, exec);
}

/* One axis of the gradient for the input. Of the padded input's lines with parity `phase`, line
 * stride * q + phase gets from output line q - j the tap phase + stride * j, for all such taps.
 * Turned around, that is a correlation with the taps from the last one down. */
struct backward_axis {
  int taps, last_tap; /* used by this phase; the highest of them */
  int first, count;   /* lines of the input, without padding: first, first + stride, ... */
  int before;         /* zeros before the output's first line */
};

static struct backward_axis backward_axis(const struct conv_shape *s, int phase, int size) {
  struct backward_axis axis;
  axis.taps = (s->kernel - phase + s->stride - 1) / s->stride;
  axis.last_tap = phase + (axis.taps - 1) * s->stride;
  int q = s->pad_before <= phase ? 0 : (s->pad_before - phase + s->stride - 1) / s->stride;
  axis.first = q * s->stride + phase - s->pad_before;
  axis.count = axis.first >= size ? 0 : (size - axis.first - 1) / s->stride + 1;
  axis.before = axis.taps - 1 - q;
  return axis;
}

/* The part of the gradient with one parity of rows and one of columns. */
static enum vqct_status backward_phase(const struct conv_shape *s, const float *weight,
                                       const struct conv_input *dy, const struct backward_axis *row,
                                       const struct backward_axis *column,
                                       struct filter_target *target, const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  enum vqct_status status = VQCT_MEMORY;
  ptrdiff_t kernel = s->kernel, in = s->in_channels;
  struct filter filter = {
      .simd = simd_best(exec->simd),
      .in_channels = (size_t)s->out_channels,
      .out_channels = (size_t)s->in_channels,
      .kernel_rows = row->taps,
      .kernel_columns = column->taps,
      .stride = 1,
      .top = row->before,
      .left = column->before,
  };
  struct weight_view view = {weight + row->last_tap * kernel + column->last_tap, kernel * kernel,
                             in * kernel * kernel, -kernel * s->stride, -s->stride};
  size_t weights, bias;
  filter_choose(&filter, &(struct conv_use){.precise = true});
  if (!filter_sizes(&filter, &weights, &bias) ||
      !(filter.weights = arena_alloc(exec->arena, weights * sizeof(float))) ||
      !(filter.bias = arena_alloc(exec->arena, bias * sizeof(float))))
    goto done;
  filter_pack(&filter, &view, NULL, exec->pool);
  target->first_row = row->first;
  target->rows = row->count;
  target->first_column = column->first;
  target->columns = column->count;
  status = filter_run(&filter, dy, target, exec);
done:
  arena_release(exec->arena, mark);
  return status;
}

enum vqct_status conv_backward_input(const struct conv_shape *shape, const float *weight,
                                     const float *dy, int images, int height, int width, float *dx,
                                     const struct exec *exec) {
  struct conv_input input = {
      .x = dy,
      .images = images,
      .height = conv_output_size(shape, height),
      .width = conv_output_size(shape, width),
  };
  struct conv_output output = {.y = dx};
  struct filter_target target = {
      .output = &output, .height = height, .width = width, .step = shape->stride};
  for (int i = 0; i < shape->stride; i++)
    for (int j = 0; j < shape->stride; j++) {
      struct backward_axis row = backward_axis(shape, i, height);
      struct backward_axis column = backward_axis(shape, j, width);
      enum vqct_status status = backward_phase(shape, weight, &input, &row, &column, &target, exec);
      if (status != VQCT_OK)
        return status;
    }
  return VQCT_OK;
}
