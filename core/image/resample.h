/* Scaling with an antialiased bicubic filter. */
#ifndef IMAGE_RESAMPLE_H
#define IMAGE_RESAMPLE_H

#include "cpu.h"
#include "vqct/image.h"

/** What an image is scaled to, and which part of that is wanted. */
struct resample_target {
  uint64_t full_width, full_height; /* of the whole scaled image, each at least 1 */
  uint64_t left, top;               /* of the part; it lies inside the whole */
  uint32_t width, height;           /* of the part, each at least 1 */
};

/** Half of what is cut off, rounded to even as Python's round() does in torchvision's CenterCrop.
 */
uint64_t resample_centre(uint64_t whole, uint64_t part);

/** An image scaled so that width x height is just covered, and of it the centre of that size. */
struct resample_target resample_cover(uint32_t image_width, uint32_t image_height, uint32_t width,
                                      uint32_t height);

/** Computes the wanted part of the scaled image (1 or 3 channels) into a new image. The pixels are
 * those of Pillow's Image.resize(..., BICUBIC) of the whole, then cropped; only the part is
 * computed. isa is at most cpu_best_isa(), and changes nothing but the speed. Errors: MEMORY; the
 * result is then empty. */
enum vqct_status image_resample(const struct vqct_image *image,
                                const struct resample_target *target, enum cpu_isa isa,
                                struct vqct_image *result, struct vqct_error *error);

#endif
