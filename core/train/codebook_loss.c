/* Two passes, neither of which adds to one number from two tasks: over blocks of positions for the
 * loss and the vectors' gradients, then over slices of channels for those of the codes, which any
 * number of positions share. So sums keep one order, whatever the team. */
#include "codebook_loss.h"

#include "code_gradients.h"

#define ROWS ((size_t)64) /* positions a task works on */

struct loss_job {
  const struct quantizer *quantizer;
  const float *z, *zq;
  size_t positions;
  float commitment; /* gradient per difference, for z */
  float *dz;
  float *differences; /* T,Z: z - zq */
  double *sums;       /* one a task */
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
    job->differences[i] = difference;
  }
  job->sums[task] = sum;
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
      .positions = positions,
      .commitment = (float)(released ? each : each * settings->beta),
      .dz = dz,
      .differences = arena_alloc(exec->arena, positions * quantizer->channels * sizeof(float)),
      .sums = arena_alloc(exec->arena, blocks * sizeof(double)),
  };
  float attraction = (float)(released ? each * settings->beta : each);
  if (!job.differences || !job.sums)
    return VQCT_MEMORY;
  pool_run(exec->pool, blocks, vectors_block, &job);
  if (dcodes)
    code_gradients_add(quantizer, tokens, positions, job.differences, -attraction, dcodes, exec);
  double sum = 0;
  for (size_t i = 0; i < blocks; i++)
    sum += job.sums[i];
  *loss = (1 + settings->beta) * sum / count;
  arena_release(exec->arena, mark);
  return VQCT_OK;
}
