/* How gradients pass the choice of a code, which has no derivative of its own. For each codebook's
 * channels of a position, with z the encoder's vector, e the chosen value, g the gradient that the
 * decoder sends back and sg what stops a gradient:
 *
 *   straight  the decoder reads e, and z gets g unchanged (Bengio et al. 2013)
 *   rotation  the decoder reads e = sg[|e|/|z| R] z, R turning z towards e: z gets |e|/|z| R^T g
 *             (Fifty et al., arXiv 2410.06424)
 *   diveq     the decoder reads z + |e - z| sg[v/|v|], v = (e - z) + noise: g reaches z, and
 *             through |e - z| the codes, which need no loss of their own (arXiv 2509.26469)
 *
 * Shapes: T positions, Z channels, P planes, as quantizer.h has them.
 */
#ifndef TRAIN_ESTIMATOR_H
#define TRAIN_ESTIMATOR_H

#include "exec.h"
#include "quantizer.h"
#include "vqct/train_settings.h"

struct estimator_settings {
  enum vqct_train_estimator kind;
  double noise;  /* diveq: variance of each number of the noise */
  uint64_t seed; /* of the noise */
};

/* One choice of codes, as both ways see it. */
struct quantized {
  const struct quantizer *quantizer;
  const float *z, *zq;    /* T,Z: vectors and chosen values */
  const uint32_t *tokens; /* P,T */
  size_t positions;       /* T */
  uint64_t number;        /* of the batch among all of a run: the same noise there and back */
};

/** What the decoder reads in training: T,Z into values. */
void estimator_forward(const struct estimator_settings *settings, const struct quantized *quantized,
                       float *values, const struct exec *exec);

/** The gradient dz (T,Z) of what the decoder read becomes that of z; what reaches the codes is
 * added to dcodes (all codes,d; NULL where gradients do not train them). Errors: MEMORY (scratch);
 * dz is then of no use. */
enum vqct_status estimator_backward(const struct estimator_settings *settings,
                                    const struct quantized *quantized, float *dz, float *dcodes,
                                    const struct exec *exec);

#endif
