/* Chooses how gradients of a layer are computed: for weights by Winograd's transforms or directly,
 * by the shape; for weights and input in one pass where that pays (gradient_both.h). A bias is a
 * sum over all positions: short ones in fp32, these in double, in an order that the shape settles.
 */
#include "gradient_both.h"
#include "size.h"

#define BIAS_POSITIONS 512 /* summed by one task */
#define BIAS_CHANNELS  16  /* summed side by side: a cache line */
#define SHORT_SUM      16  /* positions summed in fp32 before they go into a double */
#define CHANNELS_MIN   8   /* below, the transforms cost more than they save */
#define PIXELS_MIN     36  /* likewise */

struct bias_job {
  const float *dy;
  size_t positions, channels;
  double *partial; /* per task: a sum for each channel */
};

/* Adds up to SHORT_SUM positions of up to BIAS_CHANNELS channels to sums. */
static void sum_square(const float *dy, size_t positions, size_t stride, size_t channels,
                       double *sums) {
  float short_sums[BIAS_CHANNELS] = {0};
  if (channels == BIAS_CHANNELS)
    for (size_t p = 0; p < positions; p++)
      for (size_t c = 0; c < BIAS_CHANNELS; c++)
        short_sums[c] += dy[p * stride + c];
  else
    for (size_t p = 0; p < positions; p++)
      for (size_t c = 0; c < channels; c++)
        short_sums[c] += dy[p * stride + c];
  for (size_t c = 0; c < channels; c++)
    sums[c] += (double)short_sums[c];
}

static void sum_positions(void *argument, size_t number, unsigned worker) {
  (void)worker;
  const struct bias_job *job = argument;
  double *sums = job->partial + number * job->channels;
  size_t first = number * BIAS_POSITIONS;
  size_t end = size_least(job->positions, first + BIAS_POSITIONS);
  for (size_t p = first; p < end; p += SHORT_SUM)
    for (size_t c = 0; c < job->channels; c += BIAS_CHANNELS)
      sum_square(job->dy + p * job->channels + c, size_least(end - p, SHORT_SUM), job->channels,
                 size_least(job->channels - c, BIAS_CHANNELS), sums + c);
}

static enum vqct_status bias_gradient(const struct gradient *g, float *dbias,
                                      const struct exec *exec) {
  struct bias_job job = {.dy = g->dy, .channels = (size_t)g->shape->out_channels};
  job.positions = (size_t)g->input->images * (size_t)g->height * (size_t)g->width;
  size_t tasks = (job.positions + BIAS_POSITIONS - 1) / BIAS_POSITIONS, count;
  struct arena_mark mark = arena_mark(exec->arena);
  if (!size_multiply(tasks, job.channels, &count) ||
      !(job.partial = arena_calloc(exec->arena, count, sizeof(double))))
    return VQCT_MEMORY;
  pool_run(exec->pool, tasks, sum_positions, &job);
  for (size_t c = 0; c < job.channels; c++) {
    double sum = 0;
    for (size_t task = 0; task < tasks; task++)
      sum += job.partial[task * job.channels + c];
    dbias[c] += (float)sum;
  }
  arena_release(exec->arena, mark);
  return VQCT_OK;
}

static bool winograd_pays(const struct conv_shape *s, int height, int width) {
  return s->kernel == 3 && s->stride == 1 && s->in_channels >= CHANNELS_MIN &&
         s->out_channels >= CHANNELS_MIN && (size_t)height * (size_t)width >= PIXELS_MIN;
}

static struct gradient gradient_of(const struct conv_shape *shape, const struct conv_input *input,
                                   const float *dy, float *dweight, const struct exec *exec) {
  int factor = input->upsample ? 2 : 1;
  return (struct gradient){
      .shape = shape,
      .input = input,
      .simd = simd_best(exec->simd),
      .dy = dy,
      .height = conv_output_size(shape, input->height * factor),
      .width = conv_output_size(shape, input->width * factor),
      .dweight = dweight,
  };
}

enum vqct_status conv_backward_weight(const struct conv_shape *shape,
                                      const struct conv_input *input, const float *dy,
                                      float *dweight, float *dbias, const struct exec *exec) {
  struct gradient gradient = gradient_of(shape, input, dy, dweight, exec);
  if (gradient.height <= 0 || gradient.width <= 0)
    return VQCT_OK;
  enum vqct_status status =
      (winograd_pays(shape, gradient.height, gradient.width) ? gradient_winograd
                                                             : gradient_direct)(&gradient, exec);
  if (status == VQCT_OK && dbias)
    status = bias_gradient(&gradient, dbias, exec);
  return status;
}

struct fold_job {
  const float *wide;
  float *dx;
  size_t width, channels; /* of dx */
};

/* One row of dx: the sums over the 2 x 2 positions that each position was copied to. */
static void fold_row(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct fold_job *fold = argument;
  size_t channels = fold->channels, row = fold->width * channels;
  const float *top = fold->wide + task * 4 * row, *bottom = top + 2 * row;
  float *dx = fold->dx + task * row;
  for (size_t x = 0; x < fold->width; x++)
    for (size_t c = 0; c < channels; c++) {
      size_t left = 2 * x * channels + c, right = left + channels;
      dx[x * channels + c] = (top[left] + top[right]) + (bottom[left] + bottom[right]);
    }
}

/* The gradient for what the prologue gave, before upsampling. */
static enum vqct_status input_gradient(const struct conv_shape *shape, const float *weight,
                                       const struct conv_input *input, const float *dy, float *dx,
                                       const struct exec *exec) {
  if (!input->upsample)
    return conv_backward_input(shape, weight, dy, input->images, input->height, input->width, dx,
                               exec);
  size_t rows = (size_t)input->images * (size_t)input->height, floats;
  size_t channels = (size_t)shape->in_channels, width = (size_t)input->width;
  struct arena_mark mark = arena_mark(exec->arena);
  float *wide = size_multiply(4 * sizeof *wide * channels * width, rows, &floats)
                    ? arena_alloc(exec->arena, floats)
                    : NULL;
  if (!wide)
    return VQCT_MEMORY;
  enum vqct_status status = conv_backward_input(shape, weight, dy, input->images, 2 * input->height,
                                                2 * input->width, wide, exec);
  if (status == VQCT_OK)
    pool_run(exec->pool, rows, fold_row, &(struct fold_job){wide, dx, width, channels});
  arena_release(exec->arena, mark);
  return status;
}

enum vqct_status conv_backward(const struct conv_shape *shape, const float *weight,
                               const struct conv_input *input, const float *dy, float *dx,
                               float *dweight, float *dbias, const struct exec *exec) {
  struct gradient gradient = gradient_of(shape, input, dy, dweight, exec);
  if (!dx || !gradient_both_pays(&gradient)) {
    enum vqct_status status = conv_backward_weight(shape, input, dy, dweight, dbias, exec);
    return status == VQCT_OK && dx ? input_gradient(shape, weight, input, dy, dx, exec) : status;
  }
  enum vqct_status status = gradient_both(&gradient, weight, dx, exec);
  return status == VQCT_OK && dbias ? bias_gradient(&gradient, dbias, exec) : status;
}
