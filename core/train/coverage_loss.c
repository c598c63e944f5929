#include "coverage_loss.h"

#include <math.h>

#define ROWS ((size_t)16) /* codes a task works on */

struct coverage_job {
  const struct quantizer *quantizer;
  const struct codebook *codebook;
  const float *z;
  size_t positions;
  float each; /* gradient per difference */
  float *dcodes;
  double *sums; /* one a task */
};

static float distance(const float *a, const float *b, size_t dimension) {
  float sum = 0;
  for (size_t c = 0; c < dimension; c++)
    sum += (a[c] - b[c]) * (a[c] - b[c]);
  return sum;
}

/* The nearest of the vectors to a code; of several the first. */
static const float *nearest_vector(const struct coverage_job *job, const float *code,
                                   float *least) {
  const float *nearest = NULL;
  *least = INFINITY;
  for (size_t t = 0; t < job->positions; t++) {
    const float *z = job->z + t * job->quantizer->channels + job->codebook->channel;
    float found = distance(code, z, job->quantizer->dimension);
    if (found < *least) {
      *least = found;
      nearest = z;
    }
  }
  return nearest;
}

static void codes_block(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct coverage_job *job = argument;
  size_t d = job->quantizer->dimension, begin = task * ROWS;
  size_t end = begin + ROWS < job->codebook->count ? begin + ROWS : job->codebook->count;
  double sum = 0;
  for (size_t i = begin; i < end; i++) {
    const float *code = job->codebook->codes + i * d;
    float *gradient = job->dcodes + ((size_t)job->codebook->first + i) * d, least;
    const float *z = nearest_vector(job, code, &least);
    sum += (double)least;
    if (!z) /* farther than a float can say: the loss is infinite, and the step is refused */
      continue;
    for (size_t c = 0; c < d; c++)
      gradient[c] += job->each * (code[c] - z[c]);
  }
  job->sums[task] = sum;
}

enum vqct_status coverage_loss(const struct quantizer *quantizer, const float *z, size_t positions,
                               float scale, double *loss, float *dcodes, const struct exec *exec) {
  *loss = 0;
  for (size_t i = 0; i < quantizer->codebooks; i++) {
    struct arena_mark mark = arena_mark(exec->arena);
    const struct codebook *codebook = &quantizer->codebook[i];
    size_t blocks = (codebook->count + ROWS - 1) / ROWS;
    double count = (double)codebook->count * (double)quantizer->dimension, sum = 0;
    struct coverage_job job = {
        .quantizer = quantizer,
        .codebook = codebook,
        .z = z,
        .positions = positions,
        .each = (float)(2 * (double)scale / count),
        .dcodes = dcodes,
        .sums = arena_alloc(exec->arena, blocks * sizeof(double)),
    };
    if (!job.sums)
      return VQCT_MEMORY;
    pool_run(exec->pool, blocks, codes_block, &job);
    for (size_t k = 0; k < blocks; k++)
      sum += job.sums[k];
    *loss += sum / count;
    arena_release(exec->arena, mark);
  }
  return VQCT_OK;
}
