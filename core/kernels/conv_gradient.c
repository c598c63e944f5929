#include <string.h>

#include "gather.h"
#include "gemm.h"
#include "layer.h"

enum vqct_status conv_backward_weight(const struct conv_shape *s, const struct conv_input *input,
                                      const float *dy, float *dweight, float *dbias,
                                      const struct exec *exec) {
  size_t in = (size_t)s->in_channels, out = (size_t)s->out_channels;
  size_t taps = (size_t)(s->kernel * s->kernel);
  int factor = input->upsample ? 2 : 1;
  int height = input->height * factor, width = input->width * factor;
  int rows = conv_output_size(s, height), columns = conv_output_size(s, width);
  struct arena_mark mark = arena_mark(exec->arena);
  struct region region = {-s->pad_before,
                          -s->pad_before,
                          height + s->pad_before + s->pad_after,
                          width + s->pad_before + s->pad_after,
                          0,
                          in};
  float *sums = arena_calloc(exec->arena, taps * in * out, sizeof(float));
  float *padded =
      arena_calloc(exec->arena, (size_t)(region.rows * region.columns) * in, sizeof(float));
  if (!sums || !padded) {
    arena_release(exec->arena, mark);
    return VQCT_MEMORY;
  }
  for (int n = 0; n < input->images; n++) {
    gather(simd_best(exec->simd), input, in, (size_t)n, &region, in, padded);
    for (int y = 0; y < rows; y++)
      for (size_t t = 0; t < taps; t++) {
        size_t row = (size_t)(y * s->stride) + t / (size_t)s->kernel,
               column = t % (size_t)s->kernel;
        struct gemm gemm = {
            in,
            out,
            (size_t)columns,
            {padded + (row * (size_t)region.columns + column) * in, in * (size_t)s->stride, true},
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
