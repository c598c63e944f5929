/* Positions that chose the same code add to the same row, so tasks divide channels instead of
 * positions: no two write one number, and each sums in the order of positions, whatever the team.
 */
#include "code_gradients.h"

#define COLUMNS ((size_t)16) /* channels a task works on: a cache line */

struct code_job {
  const struct quantizer *quantizer;
  const uint32_t *tokens;
  const float *gradients;
  size_t positions, slices; /* slices of a codebook's channels */
  float weight;
  float *dcodes;
};

/* One slice of channels of all positions: two positions may share a code, but never two tasks. */
static void add_slice(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct code_job *job = argument;
  const struct quantizer *q = job->quantizer;
  const struct codebook *codebook = &q->codebook[task / job->slices];
  size_t begin = task % job->slices * COLUMNS;
  size_t end = begin + COLUMNS < q->dimension ? begin + COLUMNS : q->dimension;
  float each = job->weight / (float)codebook->k;
  for (size_t choice = 0; choice < codebook->k; choice++) {
    const uint32_t *tokens = job->tokens + (codebook->plane + choice) * job->positions;
    for (size_t t = 0; t < job->positions; t++) {
      const float *gradient = job->gradients + t * q->channels + codebook->channel;
      float *code = job->dcodes + (size_t)tokens[t] * q->dimension;
      for (size_t c = begin; c < end; c++)
        code[c] += each * gradient[c];
    }
  }
}

void code_gradients_add(const struct quantizer *quantizer, const uint32_t *tokens, size_t positions,
                        const float *gradients, float weight, float *dcodes,
                        const struct exec *exec) {
  struct code_job job = {
      .quantizer = quantizer,
      .tokens = tokens,
      .gradients = gradients,
      .positions = positions,
      .slices = (quantizer->dimension + COLUMNS - 1) / COLUMNS,
      .weight = weight,
      .dcodes = dcodes,
  };
  pool_run(exec->pool, quantizer->codebooks * job.slices, add_slice, &job);
}
