/* Positions are cut into tasks of a fixed size, and each task draws its noise from a sequence of
 * its own, by batch and task. So the backward pass draws the same noise again rather than keep it,
 * and the team's size changes nothing.
 */
#include "estimator.h"

#include <math.h>
#include <string.h>

#include "code_gradients.h"
#include "rng.h"

#define ROWS   ((size_t)64)        /* positions of a task, which share a sequence of noise */
#define STREAM ((uint64_t)1 << 60) /* of the seed: then the batch's number, then the task's */

struct estimator_job {
  const struct estimator_settings *settings;
  const struct quantized *quantized;
  float *values; /* forward: T,Z */
  float *dz;     /* backward: T,Z, gradient of the values, then of z */
  float *dzq;    /* backward: T,Z, gradient of the chosen values, or NULL */
};

/* The numbers of one codebook at one position; d of each. */
struct vectors {
  const float *z, *zq;
  size_t d;
};

static double length(const float *v, size_t d) {
  double sum = 0;
  for (size_t c = 0; c < d; c++)
    sum += (double)v[c] * (double)v[c];
  return sqrt(sum);
}

static double distance(const struct vectors *at) {
  double sum = 0;
  for (size_t c = 0; c < at->d; c++) {
    double difference = (double)at->zq[c] - (double)at->z[c];
    sum += difference * difference;
  }
  return sqrt(sum);
}

/* ---- diveq ----------------------------------------------------------------------------------- */

static float noisy(const struct vectors *at, size_t c, float deviation, struct rng *rng) {
  return at->zq[c] - at->z[c] + deviation * rng_normal(rng);
}

/* The quantisation error's length along its noisy direction. */
static void diveq_forward(const struct vectors *at, float deviation, struct rng *rng,
                          float *values) {
  for (size_t c = 0; c < at->d; c++)
    values[c] = noisy(at, c, deviation, rng);
  double along = length(values, at->d);
  float scale = along > 0 ? (float)(distance(at) / along) : 0;
  for (size_t c = 0; c < at->d; c++)
    values[c] = at->z[c] + scale * values[c];
}

/* d|e - z| is the error's true direction: along it, what g has in the noisy direction passes to e
 * and leaves z. */
static void diveq_backward(const struct vectors *at, float deviation, struct rng *rng, float *dz,
                           float *dzq) {
  double along = 0, square = 0, error = distance(at);
  for (size_t c = 0; c < at->d; c++) {
    double v = (double)noisy(at, c, deviation, rng);
    along += v * (double)dz[c];
    square += v * v;
  }
  double scale = square > 0 && error > 0 ? along / (sqrt(square) * error) : 0;
  for (size_t c = 0; c < at->d; c++) {
    float passed = (float)(scale * ((double)at->zq[c] - (double)at->z[c]));
    dz[c] -= passed;
    if (dzq)
      dzq[c] = passed;
  }
}

/* ---- rotation -------------------------------------------------------------------------------- */

/* |e|/|z| (g - 2 r (r.g) + 2 z/|z| (e/|e| . g)), r the direction halfway between z and e; g itself
 * where one of them has no direction. */
static void rotation_backward(const struct vectors *at, float *dz) {
  double z = length(at->z, at->d), e = length(at->zq, at->d);
  if (!(z > 0 && e > 0))
    return;
  double square = 0, halfway = 0, towards = 0;
  for (size_t c = 0; c < at->d; c++) {
    double r = (double)at->z[c] / z + (double)at->zq[c] / e;
    square += r * r;
    halfway += r * (double)dz[c];
    towards += (double)at->zq[c] / e * (double)dz[c];
  }
  halfway = square > 0 ? halfway / square : 0;
  for (size_t c = 0; c < at->d; c++) {
    double unit = (double)at->z[c] / z, r = unit + (double)at->zq[c] / e;
    dz[c] = (float)(e / z * ((double)dz[c] - 2 * r * halfway + 2 * unit * towards));
  }
}

/* ---- positions ------------------------------------------------------------------------------- */

/* One codebook at one position, there (values) or back. */
static void pass(const struct estimator_job *job, size_t at, float deviation, struct rng *rng) {
  const struct quantized *q = job->quantized;
  const struct vectors vectors = {q->z + at, q->zq + at, q->quantizer->dimension};
  if (job->values)
    diveq_forward(&vectors, deviation, rng, job->values + at);
  else if (job->settings->kind == VQCT_ESTIMATOR_ROTATION)
    rotation_backward(&vectors, job->dz + at);
  else
    diveq_backward(&vectors, deviation, rng, job->dz + at, job->dzq ? job->dzq + at : NULL);
}

static void pass_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct estimator_job *job = argument;
  const struct quantizer *quantizer = job->quantized->quantizer;
  float deviation = (float)sqrt(job->settings->noise);
  size_t begin = task * ROWS, positions = job->quantized->positions;
  size_t end = begin + ROWS < positions ? begin + ROWS : positions;
  struct rng rng;
  rng_seed(&rng, job->settings->seed, STREAM + (job->quantized->number << 32) + task);
  for (size_t t = begin; t < end; t++)
    for (size_t i = 0; i < quantizer->codebooks; i++)
      pass(job, t * quantizer->channels + quantizer->codebook[i].channel, deviation, &rng);
}

static void pass_all(struct estimator_job *job, const struct exec *exec) {
  pool_run(exec->pool, (job->quantized->positions + ROWS - 1) / ROWS, pass_rows, job);
}

void estimator_forward(const struct estimator_settings *settings, const struct quantized *quantized,
                       float *values, const struct exec *exec) {
  struct estimator_job job = {.settings = settings, .quantized = quantized, .values = values};
  if (settings->kind == VQCT_ESTIMATOR_DIVEQ)
    pass_all(&job, exec);
  else
    memcpy(values, quantized->zq,
           quantized->positions * quantized->quantizer->channels * sizeof *values);
}

enum vqct_status estimator_backward(const struct estimator_settings *settings,
                                    const struct quantized *quantized, float *dz, float *dcodes,
                                    const struct exec *exec) {
  struct estimator_job job = {.settings = settings, .quantized = quantized, .dz = dz};
  struct arena_mark mark = arena_mark(exec->arena);
  size_t count = quantized->positions * quantized->quantizer->channels;
  if (settings->kind == VQCT_ESTIMATOR_STRAIGHT)
    return VQCT_OK;
  bool reaches_codes = settings->kind == VQCT_ESTIMATOR_DIVEQ && dcodes;
  if (reaches_codes && !(job.dzq = arena_alloc(exec->arena, count * sizeof *job.dzq)))
    return VQCT_MEMORY;
  pass_all(&job, exec);
  if (reaches_codes)
    code_gradients_add(quantized->quantizer, quantized->tokens, quantized->positions, job.dzq, 1,
                       dcodes, exec);
  arena_release(exec->arena, mark);
  return VQCT_OK;
}
