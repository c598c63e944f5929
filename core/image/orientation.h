/* Which way up a picture is, as EXIF tells it: 1 to 8, 1 as it is stored. */
#ifndef IMAGE_ORIENTATION_H
#define IMAGE_ORIENTATION_H

#include <stdbool.h>
#include <stddef.h>

#include "vqct/image.h"

/** The orientation in a TIFF file's first directory; 1 where there is none or it is damaged,
 * because damaged metadata does not damage the picture. */
unsigned orientation_of_tiff(const uint8_t *data, size_t size);

/** Whether an orientation exchanges width and height. */
static inline bool orientation_swaps(unsigned orientation) {
  return orientation >= 5;
}

/** Where the stored picture's first pixel comes to stand in the upright one, and how many pixels on
 * its next column and next row are. */
struct placement {
  size_t origin;
  ptrdiff_t column, row;
};

/** For an upright image of this size. */
struct placement orientation_placement(unsigned orientation, const struct vqct_image *image);

/** Copies a row of 3 channels to pixels that are `column` apart. */
void orientation_place_row(const uint8_t *row, size_t width, uint8_t *to, ptrdiff_t column);

/** Turns an image of 3 channels upright; its pixels are replaced. Errors: MEMORY; it is then as it
 * was. */
enum vqct_status orientation_apply(unsigned orientation, struct vqct_image *image,
                                   struct vqct_error *error);

#endif
