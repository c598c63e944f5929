/* What keeps codes where vectors come, so that none of them dies.
 *
 * For each codebook, over its N codes e and the T positions' vectors z of its d channels:
 *     mean over the codes of min_t |e - sg[z_t]|^2 / d
 * summed over the codebooks. sg stops the gradient: only codes move. A code that is chosen lies
 * near a vector anyway; one that no vector comes to is drawn to the vectors that are the nearest to
 * it.
 *
 * Source: the second half of the Chamfer distance between codes and vectors; Zheng and Vedaldi 2023
 * (CVQ-VAE) move idle codes to such anchors by hand.
 */
#ifndef TRAIN_COVERAGE_LOSS_H
#define TRAIN_COVERAGE_LOSS_H

#include "exec.h"
#include "quantizer.h"
#include "vqct/status.h"

/** The loss of the codes (all codes,d, those of the quantizer) and z (T,Z) in *loss; scale times
 * its gradient is added to dcodes. Errors: MEMORY (scratch). */
enum vqct_status coverage_loss(const struct quantizer *quantizer, const float *z, size_t positions,
                               float scale, double *loss, float *dcodes, const struct exec *exec);

#endif
