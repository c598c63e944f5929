/* All processes must end with the same codes without sending them: counts and sums are reduced
 * before anything moves, and a restarted code's vector comes from the first process through the
 * same reduction, in which the others add zeros. */
#include "ema_codebook.h"

#include <string.h>

#include "rng.h"

#define COUNT_MINIMUM 1e-5F /* what an average is divided by at least */
#define STREAM        ((uint64_t)1 << 59)

void ema_codebook_start(struct ema_codebook *codebook) {
  for (size_t i = 0; i < codebook->codes; i++)
    codebook->count[i] = 1;
  memcpy(codebook->sum, codebook->value, codebook->codes * codebook->dimension * sizeof(float));
}

/* Counts and sums of this step's vectors. */
static void add_vectors(const struct quantizer *q, const float *z, const uint32_t *tokens,
                        size_t positions, float *count, float *sum) {
  for (size_t i = 0; i < q->codebooks; i++) {
    const struct codebook *from = &q->codebook[i];
    for (size_t row = 0; row < from->k * positions; row++) {
      size_t code = tokens[from->plane * positions + row];
      const float *vector = z + row % positions * q->channels + from->channel;
      count[code] += 1;
      for (size_t c = 0; c < q->dimension; c++)
        sum[code * q->dimension + c] += vector[c];
    }
  }
}

/* A dead code becomes a vector of this process's batch; with several processes that of the first
 * one's, so that all agree. */
static void restart(struct ema_codebook *codebook, const struct quantizer *q, const float *z,
                    size_t positions, uint64_t step, float *chosen, const bool *dead) {
  size_t d = codebook->dimension;
  struct rng rng;
  rng_seed(&rng, codebook->settings.seed, STREAM + step);
  for (size_t i = 0; i < q->codebooks; i++) {
    const struct codebook *from = &q->codebook[i];
    for (size_t code = from->first; code < from->first + from->count; code++) {
      size_t row = (size_t)rng_below(&rng, positions);
      if (dead[code])
        memcpy(chosen + code * d, z + row * q->channels + from->channel, d * sizeof(float));
    }
  }
}

/* Moves the averages, and tells which codes are dead. */
static void move(struct ema_codebook *codebook, const float *count, const float *sum, bool *dead) {
  size_t d = codebook->dimension;
  float keep = (float)codebook->settings.decay, take = 1 - keep;
  for (size_t code = 0; code < codebook->codes; code++) {
    codebook->count[code] = keep * codebook->count[code] + take * count[code];
    float most = codebook->count[code] > COUNT_MINIMUM ? codebook->count[code] : COUNT_MINIMUM;
    dead[code] = (double)codebook->count[code] < codebook->settings.threshold;
    for (size_t c = code * d; c < (code + 1) * d; c++) {
      codebook->sum[c] = keep * codebook->sum[c] + take * sum[c];
      codebook->value[c] = codebook->sum[c] / most;
    }
  }
}

enum vqct_status ema_codebook_update(struct ema_codebook *codebook,
                                     const struct quantizer *quantizer, const float *z,
                                     const uint32_t *tokens, size_t positions, uint64_t step,
                                     const struct reduction *reduction, const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t codes = codebook->codes, d = codebook->dimension;
  float *count = arena_calloc(exec->arena, codes, sizeof *count);
  float *sum = arena_calloc(exec->arena, codes * d, sizeof *sum);
  bool *dead = arena_calloc(exec->arena, codes, sizeof *dead);
  enum vqct_status status = VQCT_MEMORY;
  if (!count || !sum || !dead)
    goto done;
  add_vectors(quantizer, z, tokens, positions, count, sum);
  if (reduction) {
    reduction->sum_float(reduction->context, count, codes);
    reduction->sum_float(reduction->context, sum, codes * d);
  }
  move(codebook, count, sum, dead);
  float *chosen = sum; /* it has served by now */
  memset(chosen, 0, codes * d * sizeof *chosen);
  if (!reduction || reduction->rank == 0)
    restart(codebook, quantizer, z, positions, step, chosen, dead);
  if (reduction)
    reduction->sum_float(reduction->context, chosen, codes * d);
  for (size_t i = 0; i < codes * d; i++)
    if (dead[i / d]) {
      codebook->value[i] = codebook->sum[i] = chosen[i];
      codebook->count[i / d] = 1;
    }
  status = VQCT_OK;
done:
  arena_release(exec->arena, mark);
  return status;
}
