/* All positions of a block share the scale and shift of one code, so their gradients are summed
 * there. A task is a row of codes with the rows of x under it: no two tasks write one code's sums.
 */
#include "spatial_norm_backward.h"

#include <math.h>
#include <string.h>

#include "norm.h"
#include "size.h"

struct spatial_pass {
  struct conv_input input;        /* x with the whole scale and shift of each code */
  size_t channels, columns, rows; /* of codes */
  const float *scale, *shift;     /* N,C: of n from x */
  const float *by;                /* N,h,w,C: the convolution's scale */
  float *da, *dscale, *dshift;
};

/* The positions of one row of x in the block of one code. */
static void pass_run(const struct spatial_pass *pass, size_t image, size_t code, size_t first) {
  size_t channels = pass->channels, block = (size_t)pass->input.block;
  const float *whole = pass->input.scale + code * channels;
  const float *offset = pass->input.shift + code * channels, *by = pass->by + code * channels;
  const float *scale = pass->scale + image * channels, *shift = pass->shift + image * channels;
  float *dscale = pass->dscale + code * channels, *dshift = pass->dshift + code * channels;
  for (size_t i = first; i < first + block; i++)
    for (size_t c = 0; c < channels; c++) {
      float x = pass->input.x[i * channels + c], u = x * whole[c] + offset[c];
      float gate = 1 / (1 + expf(-u)), du = pass->da[i * channels + c];
      if (pass->input.swish)
        du *= gate * (1 + u * (1 - gate));
      dshift[c] += du;
      dscale[c] += du * (x * scale[c] + shift[c]);
      pass->da[i * channels + c] = du * by[c];
    }
}

/* One row of codes. */
static void pass_row(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct spatial_pass *pass = argument;
  size_t block = (size_t)pass->input.block, image = task / pass->rows;
  size_t from = task * pass->columns * pass->channels, count = pass->columns * pass->channels;
  memset(pass->dscale + from, 0, count * sizeof *pass->dscale);
  memset(pass->dshift + from, 0, count * sizeof *pass->dshift);
  for (size_t row = task * block; row < (task + 1) * block; row++)
    for (size_t column = 0; column < pass->columns; column++)
      pass_run(pass, image, task * pass->columns + column, (row * pass->columns + column) * block);
}

enum vqct_status spatial_norm_backward(const struct norm *norm, int groups,
                                       const struct activation *x, const struct activation *codes,
                                       bool swish, float *da, float *dscale, float *dshift,
                                       const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t images = (size_t)x->images, channels = (size_t)x->channels;
  size_t rows = (size_t)codes->height, columns = (size_t)codes->width;
  struct conv_input given = norm_input_plain(codes);
  struct spatial_pass pass = {.channels = channels,
                              .columns = columns,
                              .rows = rows,
                              .da = da,
                              .dscale = dscale,
                              .dshift = dshift};
  float *scale = arena_alloc(exec->arena, 2 * images * channels * sizeof *scale);
  float *by = arena_alloc(exec->arena, images * rows * columns * channels * sizeof *by);
  struct conv_output output = {.y = by};
  enum vqct_status status = VQCT_MEMORY;
  if (!scale || !by)
    goto done;
  status = conv_forward(norm->layer[SPATIAL_SCALE].conv, &given, &output, exec);
  if (status != VQCT_OK)
    goto done;
  status = norm_input_read(norm, groups, x, codes, swish, &pass.input, exec);
  if (status != VQCT_OK)
    goto done;
  group_norm_scale(x->sums, x->squares, norm->gamma, norm->beta, images,
                   (size_t)x->height * (size_t)x->width, channels, (size_t)groups, scale,
                   scale + images * channels);
  pass.scale = scale;
  pass.shift = scale + images * channels;
  pass.by = by;
  pool_run(exec->pool, images * rows, pass_row, &pass);
done:
  arena_release(exec->arena, mark);
  return status;
}
