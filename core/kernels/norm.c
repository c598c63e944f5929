/* Sums are made in two steps of a fixed order: each task sums every channel over its positions in
 * double, then these are added by group and block. How many threads there are changes no bit. From
 * sums and squares comes one scale and shift a channel, so that a convolution can apply the norm
 * while it reads; norm_apply is for whoever has no convolution behind it.
 */
#include "norm.h"

#include <math.h>

#include "simd.h"
#include "size.h"

#define BLOCK_POSITIONS 256 /* of one task */

struct norm_job {
  const float *x;
  size_t positions, channels, blocks; /* blocks of an image */
  double *partial;                    /* per task: sums, then squares, of each channel */
  const struct simd *simd;
  const float *scale, *shift;
  bool swish;
  float *y;
};

static size_t block_end(const struct norm_job *job, size_t first) {
  return job->positions - first < BLOCK_POSITIONS ? job->positions : first + BLOCK_POSITIONS;
}

static void statistics_task(void *argument, size_t number, unsigned worker) {
  (void)worker;
  const struct norm_job *job = argument;
  size_t image = number / job->blocks, first = number % job->blocks * BLOCK_POSITIONS;
  double *sums = job->partial + number * 2 * job->channels, *squares = sums + job->channels;
  for (size_t p = first; p < block_end(job, first); p++) {
    const float *x = job->x + (image * job->positions + p) * job->channels;
    for (size_t c = 0; c < job->channels; c++) {
      double value = (double)x[c];
      sums[c] += value;
      squares[c] += value * value;
    }
  }
}

enum vqct_status group_norm_statistics(const float *x, size_t images, size_t positions,
                                       size_t channels, size_t groups, double *sums,
                                       double *squares, const struct exec *exec) {
  struct norm_job job = {.x = x, .positions = positions, .channels = channels};
  job.blocks = (positions + BLOCK_POSITIONS - 1) / BLOCK_POSITIONS;
  size_t count, tasks = images * job.blocks, width = channels / groups;
  struct arena_mark mark = arena_mark(exec->arena);
  if (!size_multiply(tasks, 2 * channels, &count) ||
      !(job.partial = arena_calloc(exec->arena, count, sizeof(double))))
    return VQCT_MEMORY;
  pool_run(exec->pool, tasks, statistics_task, &job);
  for (size_t i = 0; i < images * groups; i++) {
    sums[i] = squares[i] = 0;
    for (size_t block = i / groups * job.blocks; block < (i / groups + 1) * job.blocks; block++) {
      const double *partial = job.partial + block * 2 * channels + i % groups * width;
      for (size_t c = 0; c < width; c++) {
        sums[i] += partial[c];
        squares[i] += partial[channels + c];
      }
    }
  }
  arena_release(exec->arena, mark);
  return VQCT_OK;
}

void group_norm_scale(const double *sums, const double *squares, const float *gamma,
                      const float *beta, size_t images, size_t positions, size_t channels,
                      size_t groups, float *scale, float *shift) {
  size_t width = channels / groups;
  double count = (double)(positions * width);
  for (size_t i = 0; i < images * groups; i++) {
    double mean = sums[i] / count;
    double variance = squares[i] / count - mean * mean;
    double inverse = 1.0 / sqrt((variance < 0 ? 0 : variance) + NORM_EPSILON);
    for (size_t k = 0; k < width; k++) {
      size_t c = i % groups * width + k, at = i / groups * channels + c;
      scale[at] = (float)((double)gamma[c] * inverse);
      shift[at] = (float)((double)beta[c] - mean * (double)gamma[c] * inverse);
    }
  }
}

static void apply_task(void *argument, size_t number, unsigned worker) {
  (void)worker;
  const struct norm_job *job = argument;
  size_t image = number / job->blocks, first = number % job->blocks * BLOCK_POSITIONS;
  size_t at = (image * job->positions + first) * job->channels;
  struct prologue prologue = {
      .x = job->x + at,
      .pixels = block_end(job, first) - first,
      .x_stride = job->channels,
      .channels = job->channels,
      .scale = job->scale + image * job->channels,
      .shift = job->shift + image * job->channels,
      .swish = job->swish,
      .to = job->y + at,
      .to_stride = job->channels,
  };
  job->simd->prologue(&prologue);
}

void norm_apply(const float *x, size_t images, size_t positions, size_t channels,
                const float *scale, const float *shift, bool swish, float *y,
                const struct exec *exec) {
  struct norm_job job = {.x = x,
                         .positions = positions,
                         .channels = channels,
                         .blocks = (positions + BLOCK_POSITIONS - 1) / BLOCK_POSITIONS,
                         .simd = simd_best(exec->simd),
                         .scale = scale,
                         .shift = shift,
                         .swish = swish,
                         .y = y};
  pool_run(exec->pool, images * job.blocks, apply_task, &job);
}
