#include "conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gemm.h"
#include "size.h"

struct conv {
  struct conv_shape shape;
  float *weight; /* K,K,I,O */
  float *bias;
};

int conv_output_size(const struct conv_shape *shape, int size) {
  int padded = size + shape->pad_before + shape->pad_after;
  return padded < shape->kernel ? 0 : (padded - shape->kernel) / shape->stride + 1;
}

const struct conv_shape *conv_shape(const struct conv *conv) {
  return &conv->shape;
}

static bool shape_valid(const struct conv_shape *s) {
  return s->in_channels > 0 && s->out_channels > 0 && s->kernel >= 1 &&
         s->kernel <= CONV_KERNEL_MAX && (s->stride == 1 || s->stride == 2) && s->pad_before >= 0 &&
         s->pad_before < s->kernel && s->pad_after >= 0 && s->pad_after < s->kernel;
}

static void pack(const struct conv_shape *s, const float *weight, float *packed) {
  size_t taps = (size_t)(s->kernel * s->kernel), in = (size_t)s->in_channels;
  size_t out = (size_t)s->out_channels;
  for (size_t o = 0; o < out; o++)
    for (size_t i = 0; i < in; i++)
      for (size_t t = 0; t < taps; t++)
        packed[(t * in + i) * out + o] = weight[(o * in + i) * taps + t];
}

enum vqct_status conv_new(const struct conv_shape *shape, const float *weight, const float *bias,
                          struct conv **result, struct vqct_error *error) {
  *result = NULL;
  if (!shape_valid(shape))
    return error_set(error, VQCT_INVALID, "a convolution of %d x %d channels, kernel %d, stride %d",
                     shape->in_channels, shape->out_channels, shape->kernel, shape->stride);
  size_t count = (size_t)(shape->kernel * shape->kernel), bytes = 0;
  struct conv *conv = calloc(1, sizeof *conv);
  if (!conv || !size_multiply(count, (size_t)shape->in_channels, &bytes) ||
      !size_multiply(bytes, (size_t)shape->out_channels * sizeof(float), &bytes) ||
      !(conv->weight = malloc(bytes)) ||
      (bias && !(conv->bias = malloc((size_t)shape->out_channels * sizeof(float))))) {
    conv_free(conv);
    return error_set(error, VQCT_MEMORY, "no memory for a convolution's weights");
  }
  conv->shape = *shape;
  conv_update(conv, weight, bias);
  *result = conv;
  return VQCT_OK;
}

enum vqct_status conv_new_simd(const struct conv_shape *shape, const float *weight,
                               const float *bias, const struct simd *simd, struct conv **conv,
                               struct vqct_error *error) {
  (void)simd;
  return conv_new(shape, weight, bias, conv, error);
}

void conv_update(struct conv *conv, const float *weight, const float *bias) {
  pack(&conv->shape, weight, conv->weight);
  if (bias)
    memcpy(conv->bias, bias, (size_t)conv->shape.out_channels * sizeof *bias);
}

void conv_free(struct conv *conv) {
  if (!conv)
    return;
  free(conv->weight);
  free(conv->bias);
  free(conv);
}

/* One image after the prologue, with zeros around it. */
struct padded {
  float *data;
  int height, width;
};

static bool padded_new(const struct conv_shape *s, int height, int width, struct arena *arena,
                       struct padded *padded) {
  padded->height = height + s->pad_before + s->pad_after;
  padded->width = width + s->pad_before + s->pad_after;
  padded->data =
      arena_calloc(arena, (size_t)padded->height * (size_t)padded->width * (size_t)s->in_channels,
                   sizeof(float));
  return padded->data;
}

static void pad_image(const struct conv_shape *s, const struct conv_input *in, int image,
                      struct padded *padded) {
  int factor = in->upsample ? 2 : 1, channels = s->in_channels;
  for (int y = 0; y < in->height * factor; y++)
    for (int x = 0; x < in->width * factor; x++) {
      const float *from =
          in->x + (((size_t)image * (size_t)in->height + (size_t)(y / factor)) * (size_t)in->width +
                   (size_t)(x / factor)) *
                      (size_t)channels;
      float *to = padded->data + ((size_t)(y + s->pad_before) * (size_t)padded->width +
                                  (size_t)(x + s->pad_before)) *
                                     (size_t)channels;
      for (int c = 0; c < channels; c++) {
        size_t at = (size_t)image * (size_t)channels + (size_t)c;
        float v = in->scale ? from[c] * in->scale[at] + in->shift[at] : from[c];
        to[c] = in->swish ? v / (1.0F + expf(-v)) : v;
      }
    }
}

static void finish_image(const struct conv *conv, const struct conv_output *out, size_t image,
                         size_t positions) {
  size_t channels = (size_t)conv->shape.out_channels;
  float *y = out->y + image * positions * channels;
  for (size_t i = 0; i < positions * channels; i++)
    y[i] += (conv->bias ? conv->bias[i % channels] : 0) +
            (out->residual ? out->residual[image * positions * channels + i] : 0);
  if (!out->sums)
    return;
  size_t groups = (size_t)out->groups, width = channels / groups;
  for (size_t g = 0; g < groups; g++)
    out->sums[image * groups + g] = out->squares[image * groups + g] = 0;
  for (size_t i = 0; i < positions * channels; i++) {
    size_t at = image * groups + i % channels / width;
    out->sums[at] += (double)y[i];
    out->squares[at] += (double)y[i] * (double)y[i];
  }
}

enum vqct_status conv_forward(const struct conv *conv, const struct conv_input *input,
                              const struct conv_output *output, const struct exec *exec) {
  const struct conv_shape *s = &conv->shape;
  int factor = input->upsample ? 2 : 1;
  int height = conv_output_size(s, input->height * factor);
  int width = conv_output_size(s, input->width * factor);
  size_t in = (size_t)s->in_channels, out = (size_t)s->out_channels;
  struct arena_mark mark = arena_mark(exec->arena);
  struct padded padded;
  float *result = arena_alloc(exec->arena, (size_t)(height * width) * out * sizeof(float));
  if (!result ||
      !padded_new(s, input->height * factor, input->width * factor, exec->arena, &padded)) {
    arena_release(exec->arena, mark);
    return VQCT_MEMORY;
  }
  for (int n = 0; n < input->images; n++) {
    pad_image(s, input, n, &padded);
    for (int y = 0; y < height; y++)
      for (int t = 0; t < s->kernel * s->kernel; t++) {
        size_t row = (size_t)(y * s->stride + t / s->kernel), column = (size_t)(t % s->kernel);
        struct gemm gemm = {(size_t)width,
                            out,
                            in,
                            {padded.data + (row * (size_t)padded.width + column) * in,
                             in * (size_t)s->stride, false},
                            {conv->weight + (size_t)t * in * out, out, false},
                            1.0F,
                            t > 0,
                            result + (size_t)(y * width) * out,
                            out};
        gemm_run(&gemm, exec);
      }
    size_t size = (size_t)(height * width) * out;
    float *y = output->y + (size_t)n * size;
    const float *residual = output->residual ? output->residual + (size_t)n * size : NULL;
    for (size_t i = 0; residual && i < size; i++)
      result[i] += residual[i];
    memcpy(y, result, size * sizeof(float));
    struct conv_output rest = *output;
    rest.residual = NULL;
    finish_image(conv, &rest, (size_t)n, (size_t)(height * width));
  }
  arena_release(exec->arena, mark);
  return VQCT_OK;
}

enum vqct_status conv_backward_input(const struct conv_shape *s, const float *weight,
                                     const float *dy, int images, int height, int width, float *dx,
                                     const struct exec *exec) {
  size_t in = (size_t)s->in_channels, out = (size_t)s->out_channels;
  int rows = conv_output_size(s, height), columns = conv_output_size(s, width);
  struct arena_mark mark = arena_mark(exec->arena);
  struct padded padded;
  float *packed =
      arena_alloc(exec->arena, (size_t)(s->kernel * s->kernel) * in * out * sizeof(float));
  if (!packed || !padded_new(s, height, width, exec->arena, &padded)) {
    arena_release(exec->arena, mark);
    return VQCT_MEMORY;
  }
  pack(s, weight, packed);
  for (int n = 0; n < images; n++) {
    memset(padded.data, 0, (size_t)padded.height * (size_t)padded.width * in * sizeof(float));
    for (int y = 0; y < rows; y++)
      for (int t = 0; t < s->kernel * s->kernel; t++) {
        size_t row = (size_t)(y * s->stride + t / s->kernel), column = (size_t)(t % s->kernel);
        struct gemm gemm = {(size_t)columns,
                            in,
                            out,
                            {dy + ((size_t)(n * rows + y) * (size_t)columns) * out, out, false},
                            {packed + (size_t)t * in * out, out, true},
                            1.0F,
                            true,
                            padded.data + (row * (size_t)padded.width + column) * in,
                            in * (size_t)s->stride};
        gemm_run(&gemm, exec);
      }
    for (int y = 0; y < height; y++)
      memcpy(dx + (size_t)(n * height + y) * (size_t)width * in,
             padded.data +
                 ((size_t)(y + s->pad_before) * (size_t)padded.width + (size_t)s->pad_before) * in,
             (size_t)width * in * sizeof(float));
  }
  arena_release(exec->arena, mark);
  return VQCT_OK;
}

enum vqct_status conv_backward_weight(const struct conv_shape *s, const struct conv_input *input,
                                      const float *dy, float *dweight, float *dbias,
                                      const struct exec *exec) {
  size_t in = (size_t)s->in_channels, out = (size_t)s->out_channels;
  size_t taps = (size_t)(s->kernel * s->kernel);
  int factor = input->upsample ? 2 : 1;
  int height = input->height * factor, width = input->width * factor;
  int rows = conv_output_size(s, height), columns = conv_output_size(s, width);
  struct arena_mark mark = arena_mark(exec->arena);
  struct padded padded;
  float *sums = arena_calloc(exec->arena, taps * in * out, sizeof(float));
  if (!sums || !padded_new(s, height, width, exec->arena, &padded)) {
    arena_release(exec->arena, mark);
    return VQCT_MEMORY;
  }
  for (int n = 0; n < input->images; n++) {
    pad_image(s, input, n, &padded);
    for (int y = 0; y < rows; y++)
      for (size_t t = 0; t < taps; t++) {
        size_t row = (size_t)(y * s->stride) + t / (size_t)s->kernel,
               column = t % (size_t)s->kernel;
        struct gemm gemm = {in,
                            out,
                            (size_t)columns,
                            {padded.data + (row * (size_t)padded.width + column) * in,
                             in * (size_t)s->stride, true},
                            {dy + ((size_t)(n * rows + y) * (size_t)columns) * out, out, false},
                            1.0F,
                            true,
                            sums + t * in * out,
                            out};
        gemm_run(&gemm, exec);
      }
  }
  for (size_t o = 0; o < out; o++)
    for (size_t i = 0; i < in; i++)
      for (size_t t = 0; t < taps; t++)
        dweight[(o * in + i) * taps + t] += sums[(t * in + i) * out + o];
  size_t positions = (size_t)input->images * (size_t)rows * (size_t)columns;
  for (size_t i = 0; dbias && i < positions * out; i++)
    dbias[i % out] += dy[i];
  arena_release(exec->arena, mark);
  return VQCT_OK;
}
