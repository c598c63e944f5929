/* What draws encodings of a colour to the word for it.
 *
 * A position whose f x f pixels have a mean colour (in L*a*b*) that an anchor names is to be nearer
 * to that anchor's code than to any other anchor's: over A anchors c, with z the encoder's vector
 * of the adjectives' half and n the anchor that names the patch,
 *     -log softmax(-|z - c|^2)[n],
 * summed over the positions that have a name and divided by all T positions, so that a picture of
 * one clear patch does not weigh as one full of them. Codes that no anchor stands for move only as
 * far as the transfer carries them along.
 */
#ifndef TRAIN_ANCHOR_LOSS_H
#define TRAIN_ANCHOR_LOSS_H

#include "anchors.h"
#include "exec.h"
#include "layers.h"
#include "quantizer.h"

/** The loss of pictures x (N,H,W,3 in [-1,1]) and their vectors z (N,h,w,Z) in *loss; scale times
 * its gradients are added to dz and to dcodes (all codes,d; NULL where codes are not trained by
 * gradients). codes: all codes,d. Errors: MEMORY (scratch). */
enum vqct_status anchor_loss(const struct anchors *anchors, const struct quantizer *quantizer,
                             const float *codes, const struct activation *x,
                             const struct activation *z, float scale, double *loss, float *dz,
                             float *dcodes, const struct exec *exec);

#endif
