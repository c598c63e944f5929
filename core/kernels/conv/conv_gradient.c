#include "gradient.h"
#include "size.h"

#define BIAS_POSITIONS 512 /* summed by one task */
#define CHANNELS_MIN   8   /* below, the transforms cost more than they save */
#define PIXELS_MIN     36  /* likewise */

struct bias_job {
  const float *dy;
  size_t positions, channels;
  double *partial; /* per task: a sum for each channel */
};

static void sum_positions(void *argument, size_t number, unsigned worker) {
  (void)worker;
  const struct bias_job *job = argument;
  double *sums = job->partial + number * job->channels;
  size_t first = number * BIAS_POSITIONS, left = job->positions - first;
  const float *dy = job->dy + first * job->channels;
  for (size_t p = 0; p < left && p < BIAS_POSITIONS; p++, dy += job->channels)
    for (size_t c = 0; c < job->channels; c++)
      sums[c] += (double)dy[c];
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

enum vqct_status conv_backward_weight(const struct conv_shape *shape,
                                      const struct conv_input *input, const float *dy,
                                      float *dweight, float *dbias, const struct exec *exec) {
  int factor = input->upsample ? 2 : 1;
  struct gradient gradient = {
      .shape = shape,
      .input = input,
      .simd = simd_best(exec->simd),
      .dy = dy,
      .height = conv_output_size(shape, input->height * factor),
      .width = conv_output_size(shape, input->width * factor),
      .dweight = dweight,
  };
  if (gradient.height <= 0 || gradient.width <= 0)
    return VQCT_OK;
  enum vqct_status status =
      (winograd_pays(shape, gradient.height, gradient.width) ? gradient_winograd
                                                             : gradient_direct)(&gradient, exec);
  if (status == VQCT_OK && dbias)
    status = bias_gradient(&gradient, dbias, exec);
  return status;
}
