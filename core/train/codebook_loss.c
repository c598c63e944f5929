#include "codebook_loss.h"

#define ROWS    ((size_t)64) /* positions a task of the first pass works on */
#define COLUMNS ((size_t)16) /* channels a task of the second pass works on: a cache line */

struct loss_job {
  const struct quantizer *quantizer;
  const float *z, *zq;
  const uint32_t *tokens;
  size_t positions, slices;     /* slices of a codebook's channels */
  float commitment, attraction; /* gradient per difference, for z and for the codes */
  float *dz, *dcodes;
  double *sums; /* one a task of the first pass */
};

static void vectors_block(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct loss_job *job = argument;
  size_t channels = job->quantizer->channels, begin = task * ROWS;
  size_t end = begin + ROWS < job->positions ? begin + ROWS : job->positions;
  double sum = 0;
  for (size_t i = begin * channels; i < end * channels; i++) {
    float difference = job->z[i] - job->zq[i];
    sum += (double)difference * (double)difference;
    job->dz[i] += job->commitment * difference;
  }
  job->sums[task] = sum;
}

/* Adds the gradients of one slice of channels to the codes of all positions, in their order: two
 * positions may share a code, but never two tasks. */
static void codes_slice(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct loss_job *job = argument;
  const struct quantizer *q = job->quantizer;
  const struct codebook *codebook = &q->codebook[task / job->slices];
  size_t begin = task % job->slices * COLUMNS;
  size_t end = begin + COLUMNS < q->dimension ? begin + COLUMNS : q->dimension;
  float each = job->attraction / (float)codebook->k;
  for (size_t choice = 0; choice < codebook->k; choice++) {
    const uint32_t *tokens = job->tokens + (codebook->plane + choice) * job->positions;
    for (size_t t = 0; t < job->positions; t++) {
      const float *z = job->z + t * q->channels + codebook->channel;
      const float *zq = job->zq + t * q->channels + codebook->channel;
      float *code = job->dcodes + (size_t)tokens[t] * q->dimension;
      for (size_t c = begin; c < end; c++)
        code[c] += each * (zq[c] - z[c]);
    }
  }
}

enum vqct_status codebook_loss(const struct quantizer *quantizer,
                               const struct codebook_loss_settings *settings, const float *z,
                               const float *zq, const uint32_t *tokens, size_t positions,
                               float scale, double *loss, float *dz, float *dcodes,
                               const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t blocks = (positions + ROWS - 1) / ROWS;
  double count = (double)positions * (double)quantizer->dimension;
  double each = 2 * (double)scale / count;
  bool released = settings->placement == VQCT_BETA_RELEASED;
  struct loss_job job = {
      .quantizer = quantizer,
      .z = z,
      .zq = zq,
      .tokens = tokens,
      .positions = positions,
      .slices = (quantizer->dimension + COLUMNS - 1) / COLUMNS,
      .commitment = (float)(released ? each : each * settings->beta),
      .attraction = (float)(released ? each * settings->beta : each),
      .dz = dz,
      .dcodes = dcodes,
      .sums = arena_alloc(exec->arena, blocks * sizeof(double)),
  };
  if (!job.sums)
    return VQCT_MEMORY;
  pool_run(exec->pool, blocks, vectors_block, &job);
  if (dcodes)
    pool_run(exec->pool, quantizer->codebooks * job.slices, codes_slice, &job);
  double sum = 0;
  for (size_t i = 0; i < blocks; i++)
    sum += job.sums[i];
  *loss = (1 + settings->beta) * sum / count;
  arena_release(exec->arena, mark);
  return VQCT_OK;
}
