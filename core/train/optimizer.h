/* Adam over one flat block of parameters, with warm-up, cosine decay, clipping by norm and a moving
 * average of the weights.
 *
 * Source: Kingma and Ba 2015, in the form of PyTorch's torch.optim.Adam. The moving average is
 * average = decay * average + (1 - decay) * parameters after every step, where decay grows as
 * (1 + t) / (10 + t) up to its setting, so that early weights are soon forgotten.
 */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include <stddef.h>
#include <stdint.h>

#include "exec.h"
#include "vqct/status.h"

struct optimizer_settings {
  double learning_rate;       /* after the warm-up; above 0 */
  double final_learning_rate; /* that the cosine ends at */
  uint64_t warmup_steps;      /* the rate grows linearly over so many steps; 0: none */
  uint64_t decay_steps;       /* the cosine reaches its end at this step; 0: constant rate */
  double beta1, beta2;        /* 0 to 1, without 1 */
  double epsilon;
  double clip_norm;     /* gradients are scaled down to this Euclidean norm; 0: never */
  double average_decay; /* of the moving average; 0: there is none */
};

/** The blocks hold `count` numbers each. One thread uses it at a time. */
struct optimizer {
  struct optimizer_settings settings;
  size_t count;
  uint64_t steps; /* taken so far */
  float *parameters, *gradients;
  float *mean, *square; /* moving averages of the gradient and of its square */
  float *average;       /* moving average of the parameters; NULL without one */
};

/** Takes cleared blocks from malloc. Errors: INVALID (a setting), MEMORY. */
enum vqct_status optimizer_init(struct optimizer *optimizer,
                                const struct optimizer_settings *settings, size_t count,
                                struct vqct_error *error);

/** Frees the blocks; an empty one is allowed. */
void optimizer_free(struct optimizer *optimizer);

/** The moving average starts from the parameters as they are now. */
void optimizer_start_average(struct optimizer *optimizer);

/** The learning rate of a step; the first is 0. */
double optimizer_rate(const struct optimizer_settings *settings, uint64_t step);

/** Euclidean norm of `count` numbers, summed in double in a fixed order. */
double block_norm(const float *values, size_t count, const struct exec *exec);

/** One step: clips the gradients, updates parameters and average, clears the gradients. *norm is
 * that of the gradients before clipping. Errors: NOT_FINITE where the norm is not finite; then
 * nothing has changed. MEMORY (scratch). */
enum vqct_status optimizer_step(struct optimizer *optimizer, double *norm, const struct exec *exec,
                                struct vqct_error *error);

#endif
