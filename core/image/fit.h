/* The one place where a picture becomes what a model wants, and a model's output a picture.
 *
 *   struct fit fit = {VQCT_RESIZE_COVER, 256, 256, info->downsampling, info->channels};
 *   if (fit_picture(&fit, &picture, &error) == VQCT_OK)
 *     fit_floats(picture.pixels, (size_t)picture.width * picture.height * picture.channels, x);
 *
 * Training, evaluation, commands and the service all come through here, so a model is served the
 * numbers that it was trained on. All functions may be called from any thread.
 */
#ifndef IMAGE_FIT_H
#define IMAGE_FIT_H

#include <stdbool.h>

#include "image_file.h"

/** A part of a picture, in its pixels. */
struct fit_box {
  uint32_t left, top, width, height; /* width 0: the whole */
};

/** A point of a picture, in parts of its width and height. */
struct fit_point {
  bool given;
  double x, y; /* 0 (left, top) to 1 */
};

/** What a model wants of a picture. */
struct fit {
  enum vqct_resize resize;
  uint32_t width, height; /* to resize to, 1 to 65,535 pixels; not used with VQCT_RESIZE_NONE */
  uint32_t factor;     /* both sides become multiples of it, cropped from the centre; at least 1 */
  uint32_t channels;   /* 1 or 3 */
  struct fit_box crop; /* what of the upright picture is used, as if there were no more of it */
  /* What VQCT_RESIZE_COVER keeps in the middle, as near as the picture's edges allow; without it
   * the centre is kept. Of what `crop` leaves. */
  struct fit_point focus;
};

/** Whether a part lies inside a picture of this size; the whole always does. */
bool fit_box_inside(const struct fit_box *box, uint32_t width, uint32_t height);

/** How many pixels fit_picture leaves of a picture of this size, each side at least 1, which has
 * the fit's crop inside: 0 where it is too small. */
uint64_t fit_size(const struct fit *fit, uint32_t width, uint32_t height);

/** Pixels of a JPEG file up to which it is decoded whole, whatever is made of it. */
#define FIT_WHOLE_PIXELS ((uint64_t)32 << 20)

/** By how much a file is reduced as it is decoded: 1; or of a JPEG of more than FIT_WHOLE_PIXELS
 * that is to be resized whole, 2, 4 or 8, the most that leaves twice the pixels wanted on either
 * side. */
unsigned fit_reduction(const struct fit *fit, const struct vqct_image_header *header);

/** Decodes a file, so reduced, and does what fit_picture does. Errors: those of image_file_decode
 * and of fit_picture; the picture is then empty. */
enum vqct_status fit_decode(const struct fit *fit, const struct image_file *file,
                            struct vqct_image *picture, struct vqct_error *error);

/** Resizes and crops a picture and turns it into the wanted channels, in place: its pixels are
 * replaced. Errors: IMAGE (a side is shorter than factor), INVALID (no pixels, a crop that is not
 * inside, or a target out of range), MEMORY; the picture is then as it was or resized, and stays
 * the caller's to free. */
enum vqct_status fit_picture(const struct fit *fit, struct vqct_image *picture,
                             struct vqct_error *error);

/** Swaps left and right, in place. */
void fit_mirror(struct vqct_image *picture);

/** Turns 3 channels into 1 (luma of BT.601, in 8 bits as Pillow's convert("L")), or 1 into 3 equal
 * ones. Errors: MEMORY; the picture is then as it was. */
enum vqct_status fit_channels(struct vqct_image *picture, uint32_t channels,
                              struct vqct_error *error);

/** Bytes 0 to 255 to floats -1 to 1. */
void fit_floats(const uint8_t *bytes, size_t count, float *values);

/** Floats to bytes: -1 to 1 becomes 0 to 255, rounded to nearest with halves up, and clipped. False
 * where a value is NaN or infinite. */
bool fit_bytes(const float *values, size_t count, uint8_t *bytes);

#endif
