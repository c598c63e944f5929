/* Arithmetic on all losses of a line of the log at once. */
#ifndef TRAIN_LOSSES_H
#define TRAIN_LOSSES_H

#include "vqct/train.h"

/* Every loss, by its name in struct vqct_train_losses and in the log. */
#define LOSS_MAP(X)                                                                                \
  X(pixel)                                                                                         \
  X(perceptual)                                                                                    \
  X(detail)                                                                                        \
  X(codebook)                                                                                      \
  X(coverage)                                                                                      \
  X(anchor)                                                                                        \
  X(generator)                                                                                     \
  X(discriminator)                                                                                 \
  X(adaptive_weight)                                                                               \
  X(logit_gap)                                                                                     \
  X(gradient_norm)                                                                                 \
  X(discriminator_norm)

#define LOSS_ONE(name) +1
enum { LOSSES = 0 LOSS_MAP(LOSS_ONE) };
#undef LOSS_ONE

/** sum += one. */
void losses_add(struct vqct_train_losses *sum, const struct vqct_train_losses *one);

/** losses /= divisor. */
void losses_divide(struct vqct_train_losses *losses, double divisor);

/** To an array in the order of the map, and back. */
void losses_to_array(const struct vqct_train_losses *losses, double array[LOSSES]);
void losses_from_array(struct vqct_train_losses *losses, const double array[LOSSES]);

#endif
