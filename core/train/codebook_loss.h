/* What pulls vectors and codes together.
 *
 * For each part of the channels (adjectives, nouns, or all of a plain codebook), over T positions
 * and d channels, with z the encoder's vectors and zq the chosen values:
 *     released:   mean((sg[zq] - z)^2) + beta * mean((zq - sg[z])^2)
 *     corrected:  beta * mean((sg[zq] - z)^2) + mean((zq - sg[z])^2)
 * summed over the parts. sg stops the gradient. The first term moves the encoder (commitment), the
 * second one the codes.
 */
#ifndef TRAIN_CODEBOOK_LOSS_H
#define TRAIN_CODEBOOK_LOSS_H

#include "exec.h"
#include "quantizer.h"
#include "vqct/train_settings.h"

struct codebook_loss_settings {
  double beta;
  enum vqct_train_beta placement;
};

/** The loss of T positions in *loss. scale times its gradients are added to dz (T,Z) and to dcodes
 * (all codes,d; NULL where codes are not trained by gradients). tokens: P,T as from
 * quantizer_encode; zq: T,Z as from quantizer_decode. Errors: MEMORY (scratch). */
enum vqct_status codebook_loss(const struct quantizer *quantizer,
                               const struct codebook_loss_settings *settings, const float *z,
                               const float *zq, const uint32_t *tokens, size_t positions,
                               float scale, double *loss, float *dz, float *dcodes,
                               const struct exec *exec);

#endif
