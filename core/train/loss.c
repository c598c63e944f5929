/* Sums are made in blocks of fixed size, one a task, and the blocks added in order: their order
 * depends on the pictures alone, not on the team. */
#include "loss.h"

#include <math.h>
#include <stdbool.h>

#define BLOCK ((size_t)1 << 14) /* numbers a task sums */

struct pixels {
  enum vqct_train_pixel kind;
  const float *x, *y;
  size_t count;
  float scale; /* of the gradient of one number */
  float *dy;
  double *sums; /* one a block */
};

static void pixels_block(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct pixels *job = argument;
  size_t begin = task * BLOCK;
  size_t end = job->count - begin < BLOCK ? job->count : begin + BLOCK;
  double sum = 0;
  for (size_t i = begin; i < end; i++) {
    float difference = job->y[i] - job->x[i];
    if (job->kind == VQCT_PIXEL_L1) {
      sum += (double)fabsf(difference);
      job->dy[i] += difference > 0 ? job->scale : difference < 0 ? -job->scale : 0;
    } else {
      sum += (double)difference * (double)difference;
      job->dy[i] += 2 * difference * job->scale;
    }
  }
  job->sums[task] = sum;
}

enum vqct_status loss_pixels(enum vqct_train_pixel kind, const float *x, const float *y,
                             size_t count, float scale, double *loss, float *dy,
                             const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t blocks = (count + BLOCK - 1) / BLOCK;
  struct pixels job = {kind, x, y, count, scale / (float)count, dy, NULL};
  if (!(job.sums = arena_alloc(exec->arena, blocks * sizeof *job.sums)))
    return VQCT_MEMORY;
  pool_run(exec->pool, blocks, pixels_block, &job);
  double sum = 0;
  for (size_t i = 0; i < blocks; i++)
    sum += job.sums[i];
  *loss = sum / (double)count;
  arena_release(exec->arena, mark);
  return VQCT_OK;
}

double loss_hinge(enum hinge side, const float *logit, size_t count, float scale, float *dlogit) {
  double sum = 0;
  float each = scale / (float)count;
  for (size_t i = 0; i < count; i++) {
    float sign = side == HINGE_MADE ? 1.0F : -1.0F;
    float value = side == HINGE_GENERATOR ? -logit[i] : 1.0F + sign * logit[i];
    bool active = side == HINGE_GENERATOR || value > 0;
    sum += active ? (double)value : 0;
    dlogit[i] = active ? sign * each : 0;
  }
  return sum / (double)count;
}

double loss_lecam(enum hinge side, const float *logit, size_t count, double other, float scale,
                  float *dlogit) {
  double sum = 0, sign = side == HINGE_REAL ? 1 : -1, each = 2 * (double)scale / (double)count;
  for (size_t i = 0; i < count; i++) {
    double beyond = fmax(sign * ((double)logit[i] - other), 0);
    sum += beyond * beyond;
    dlogit[i] += (float)(each * sign * beyond);
  }
  return sum / (double)count;
}
