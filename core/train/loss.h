/* The losses that compare pixels, and the hinge losses of the adversarial game. Every function
 * gives a mean and adds its gradient, scaled, to a block of the same shape; sums run in a fixed
 * order in double. */
#ifndef TRAIN_LOSS_H
#define TRAIN_LOSS_H

#include <stddef.h>

#include "exec.h"
#include "vqct/status.h"
#include "vqct/train_settings.h"

/** mean |y - x| or mean (y - x)^2 over `count` numbers, in *loss; scale times its gradient for y is
 * added to dy. Where y = x the gradient of L1 is 0. Errors: MEMORY (scratch). */
enum vqct_status loss_pixels(enum vqct_train_pixel kind, const float *x, const float *y,
                             size_t count, float scale, double *loss, float *dy,
                             const struct exec *exec);

/* Which side of the hinge: the discriminator on real and on made pictures, and the generator. */
enum hinge {
  HINGE_REAL,     /* mean relu(1 - logit) */
  HINGE_MADE,     /* mean relu(1 + logit) */
  HINGE_GENERATOR /* mean -logit */
};

/** The loss of `count` logits; scale times its gradient overwrites dlogit. */
double loss_hinge(enum hinge side, const float *logit, size_t count, float scale, float *dlogit);

/** LeCam regularisation (Tseng et al. 2021) of the discriminator's logits of one side, REAL or
 * MADE: mean relu(logit - other)^2 or mean relu(other - logit)^2, `other` being the average logit
 * of the other side; scale times its gradient is added to dlogit. */
double loss_lecam(enum hinge side, const float *logit, size_t count, double other, float scale,
                  float *dlogit);

#endif
