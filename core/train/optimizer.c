/* Everything that is trained lies in one flat block, cut into pieces of a fixed size for the
 * team. The norm adds up the pieces in their order, so that it, and with it the clipping, has
 * the same bits for every number of threads. */
#include "optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define BLOCK ((size_t)1 << 15) /* numbers a task works on */

enum vqct_status optimizer_init(struct optimizer *optimizer,
                                const struct optimizer_settings *settings, size_t count,
                                struct vqct_error *error) {
  memset(optimizer, 0, sizeof *optimizer);
  if (!(settings->learning_rate > 0) || !(settings->final_learning_rate >= 0) ||
      !(settings->beta1 >= 0 && settings->beta1 < 1) ||
      !(settings->beta2 >= 0 && settings->beta2 < 1) || !(settings->epsilon > 0) ||
      !(settings->clip_norm >= 0) || !(settings->average_decay >= 0 && settings->average_decay < 1))
    return error_set(error, VQCT_INVALID,
                     "optimizer: rate %g, betas %g and %g, clipping %g or averaging %g is outside "
                     "its range",
                     settings->learning_rate, settings->beta1, settings->beta2, settings->clip_norm,
                     settings->average_decay);
  optimizer->settings = *settings;
  optimizer->count = count;
  float **block[] = {&optimizer->parameters, &optimizer->gradients, &optimizer->mean,
                     &optimizer->square, &optimizer->average};
  size_t blocks = sizeof block / sizeof *block - (settings->average_decay > 0 ? 0 : 1);
  for (size_t i = 0; i < blocks; i++)
    if (!(*block[i] = calloc(count ? count : 1, sizeof(float)))) {
      optimizer_free(optimizer);
      return error_set(error, VQCT_MEMORY, "no memory to train %zu parameters", count);
    }
  return VQCT_OK;
}

void optimizer_free(struct optimizer *optimizer) {
  free(optimizer->parameters);
  free(optimizer->gradients);
  free(optimizer->mean);
  free(optimizer->square);
  free(optimizer->average);
  memset(optimizer, 0, sizeof *optimizer);
}

void optimizer_start_average(struct optimizer *optimizer) {
  if (optimizer->average)
    memcpy(optimizer->average, optimizer->parameters, optimizer->count * sizeof(float));
}

double optimizer_rate(const struct optimizer_settings *s, uint64_t step) {
  if (step < s->warmup_steps)
    return s->learning_rate * (double)(step + 1) / (double)s->warmup_steps;
  if (s->decay_steps <= s->warmup_steps)
    return s->learning_rate;
  if (step >= s->decay_steps)
    return s->final_learning_rate;
  double part = (double)(step - s->warmup_steps) / (double)(s->decay_steps - s->warmup_steps);
  return s->final_learning_rate +
         (s->learning_rate - s->final_learning_rate) * 0.5 * (1 + cos(3.141592653589793 * part));
}

static size_t block_count(size_t count) {
  return (count + BLOCK - 1) / BLOCK;
}

static size_t block_length(size_t count, size_t task) {
  return count - task * BLOCK < BLOCK ? count - task * BLOCK : BLOCK;
}

struct block_norm_job {
  const float *values;
  size_t count;
  double *sums; /* one a block */
};

static void norm_block(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct block_norm_job *job = argument;
  const float *v = job->values + task * BLOCK;
  size_t count = block_length(job->count, task), i = 0;
  double sum[4] = {0};
  for (; i + 4 <= count; i += 4)
    for (size_t k = 0; k < 4; k++)
      sum[k] += (double)v[i + k] * (double)v[i + k];
  for (; i < count; i++)
    sum[0] += (double)v[i] * (double)v[i];
  job->sums[task] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

double block_norm(const float *values, size_t count, const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  struct block_norm_job job = {values, count, NULL};
  double sum = NAN; /* also where memory is short, so that the caller stops */
  if ((job.sums = arena_alloc(exec->arena, (block_count(count) + 1) * sizeof *job.sums))) {
    pool_run(exec->pool, block_count(count), norm_block, &job);
    sum = 0;
    for (size_t i = 0; i < block_count(count); i++)
      sum += job.sums[i];
  }
  arena_release(exec->arena, mark);
  return sqrt(sum);
}

/* One Adam step with everything that is the same for all parameters worked out. */
struct step {
  struct optimizer *optimizer;
  float scale; /* of the gradients: clipping */
  float beta1, beta2;
  float rate;       /* with the bias correction of the mean */
  float correction; /* 1 / sqrt of the bias correction of the square */
  float epsilon;
  float average; /* decay of the moving average at this step */
};

static void update(const struct step *s, size_t count, float *restrict p, float *restrict g,
                   float *restrict m, float *restrict v) {
  float keep1 = 1 - s->beta1, keep2 = 1 - s->beta2;
  for (size_t i = 0; i < count; i++) {
    float gradient = g[i] * s->scale;
    m[i] = s->beta1 * m[i] + keep1 * gradient;
    v[i] = s->beta2 * v[i] + keep2 * gradient * gradient;
    p[i] -= s->rate * m[i] / (sqrtf(v[i]) * s->correction + s->epsilon);
    g[i] = 0;
  }
}

static void step_block(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct step *s = argument;
  struct optimizer *o = s->optimizer;
  size_t at = task * BLOCK, count = block_length(o->count, task);
  update(s, count, o->parameters + at, o->gradients + at, o->mean + at, o->square + at);
  if (o->average)
    for (size_t i = at; i < at + count; i++)
      o->average[i] += (1 - s->average) * (o->parameters[i] - o->average[i]);
}

enum vqct_status optimizer_step(struct optimizer *optimizer, double *norm, const struct exec *exec,
                                struct vqct_error *error) {
  const struct optimizer_settings *settings = &optimizer->settings;
  *norm = block_norm(optimizer->gradients, optimizer->count, exec);
  if (!isfinite(*norm))
    return error_set(error, VQCT_NOT_FINITE, "the gradients hold NaN or infinity");
  double t = (double)(optimizer->steps + 1);
  double growing = t / (9 + t); /* (1 + s) / (10 + s) after s = t - 1 steps */
  struct step step = {
      .optimizer = optimizer,
      .scale = settings->clip_norm > 0 && *norm > settings->clip_norm
                   ? (float)(settings->clip_norm / *norm)
                   : 1,
      .beta1 = (float)settings->beta1,
      .beta2 = (float)settings->beta2,
      .rate = (float)(optimizer_rate(settings, optimizer->steps) / (1 - pow(settings->beta1, t))),
      .correction = (float)(1 / sqrt(1 - pow(settings->beta2, t))),
      .epsilon = (float)settings->epsilon,
      .average = (float)(growing < settings->average_decay ? growing : settings->average_decay),
  };
  pool_run(exec->pool, block_count(optimizer->count), step_block, &step);
  optimizer->steps++;
  return VQCT_OK;
}
