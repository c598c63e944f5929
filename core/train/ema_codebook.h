/* Codes as moving averages of the vectors that choose them, with restart of dead ones: one of the
 * methods that the transfer is compared with.
 *
 * Source: van den Oord et al. 2017, appendix A.1; restarts as in Jukebox (Dhariwal et al. 2020): a
 * code whose average count falls below a threshold becomes a vector of the current batch.
 */
#ifndef TRAIN_EMA_CODEBOOK_H
#define TRAIN_EMA_CODEBOOK_H

#include <stdint.h>

#include "quantizer.h"
#include "reduction.h"

struct ema_settings {
  double decay;     /* of both averages, such as 0.99 */
  double threshold; /* average count of a step below which a code restarts; 0: never */
  uint64_t seed;    /* of which vectors restarted codes take */
};

/** N codes of d numbers; the blocks belong to whoever fills the record. */
struct ema_codebook {
  struct ema_settings settings;
  size_t codes, dimension;
  float *count; /* N: moving average of how many vectors a step choose a code */
  float *sum;   /* N,d: moving average of the sum of those vectors */
  float *value; /* N,d: the codes */
};

/** Starts from the codes in value, each as if one vector had chosen it. */
void ema_codebook_start(struct ema_codebook *codebook);

/** Takes in the vectors z (T,Z) of one step and their tokens (P,T), and moves the codes. The result
 * depends on seed and step alone. reduction: NULL for one process. Errors: MEMORY (scratch). */
enum vqct_status ema_codebook_update(struct ema_codebook *codebook,
                                     const struct quantizer *quantizer, const float *z,
                                     const uint32_t *tokens, size_t positions, uint64_t step,
                                     const struct reduction *reduction, const struct exec *exec);

#endif
