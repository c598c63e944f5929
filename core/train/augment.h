/* What the discriminator is shown in place of pictures, real and made ones alike, so that it learns
 * what they are like and not which they are: each a little brighter or darker, moved by up to an
 * eighth of its sides and with a hole of half of them, 0 being what lies beyond and in the hole.
 *
 * Source: Zhao et al. 2020, DiffAugment, without its saturation and contrast.
 */
#ifndef TRAIN_AUGMENT_H
#define TRAIN_AUGMENT_H

#include <stdint.h>

#include "layers.h"

/* One drawing of all of that; the same one there and back. */
struct augmentation {
  uint64_t seed;
  uint64_t number; /* of the drawing in a run */
};

/** pictures (N,H,W,C) as they are shown, into `shown`, of the same shape. */
void augment_pictures(const struct augmentation *augmentation, const struct activation *pictures,
                      float *shown, const struct exec *exec);

/** From the gradient of what was shown to that of `pictures`, whose data is not read: dx is
 * overwritten. */
void augment_gradient(const struct augmentation *augmentation, const struct activation *pictures,
                      const float *dshown, float *dx, const struct exec *exec);

#endif
