/* How much detail each place of a picture holds, whatever detail it is.
 *
 * For each window of 8 x 8 pixels, over all differences d between its neighbouring pixels, across
 * and down, in all channels:  D = sqrt(mean d^2 + (2/255)^2), the last a step of 8 bits, below
 * which nothing is asked. The loss is the mean over the windows of |D(y) - D(x)|. Pixels and LPIPS
 * alone make a picture smoother than its original where the tokens do not tell what stood there;
 * this scales what stands there instead.
 *
 * Source: Abrahamyan et al. 2022 (arXiv 2202.00997), which compares the variances of gradients in
 * windows by their squared differences; here it is standard deviations by their distance, so that
 * strong edges do not outweigh all texture.
 */
#ifndef TRAIN_DETAIL_LOSS_H
#define TRAIN_DETAIL_LOSS_H

#include "exec.h"
#include "layers.h"
#include "vqct/status.h"

/** The loss of y against x (both N,H,W,C of one shape, in [-1, 1]) in *loss; scale times its
 * gradient is added to dy, of the same shape. Windows at the right and lower edges may be smaller.
 * Errors: MEMORY (scratch). */
enum vqct_status detail_loss(const struct activation *x, const struct activation *y, float scale,
                             double *loss, float *dy, const struct exec *exec);

#endif
