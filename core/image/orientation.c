/* The orientation that a camera wrote as EXIF, which is a TIFF directory, and the turning of pixels
 * that it asks for. */
#include "orientation.h"

#include <string.h>

#include "codec.h"
#include "error.h"

/* ---- what a file says ------------------------------------------------------------------------ */

struct tiff {
  const uint8_t *data;
  size_t size;
  bool big_endian;
};

/* bytes (2 or 4) at `at`, which the caller has checked. */
static uint32_t tiff_number(const struct tiff *tiff, size_t at, unsigned bytes) {
  uint32_t number = 0;
  for (unsigned i = 0; i < bytes; i++)
    number = number << 8 | tiff->data[at + (tiff->big_endian ? i : bytes - 1 - i)];
  return number;
}

unsigned orientation_of_tiff(const uint8_t *data, size_t size) {
  enum { ENTRY_BYTES = 12, TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3 };
  struct tiff tiff = {data, size, false};
  if (size < 8 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
    return 1;
  tiff.big_endian = data[0] == 'M';
  size_t at = tiff_number(&tiff, 4, 4);
  if (at > size - 2)
    return 1;
  size_t entries = tiff_number(&tiff, at, 2);
  at += 2;
  for (size_t i = 0; i < entries && size - at >= ENTRY_BYTES; i++, at += ENTRY_BYTES) {
    if (tiff_number(&tiff, at, 2) != TAG_ORIENTATION)
      continue;
    unsigned value = tiff_number(&tiff, at + 8, 2);
    bool valid = tiff_number(&tiff, at + 2, 2) == TYPE_SHORT &&
                 tiff_number(&tiff, at + 4, 4) == 1 && value >= 1 && value <= 8;
    return valid ? value : 1;
  }
  return 1;
}

/* ---- turning --------------------------------------------------------------------------------- */

struct placement orientation_placement(unsigned orientation, const struct vqct_image *image) {
  ptrdiff_t width = image->width, height = image->height;
  bool mirrored = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  bool flipped = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  ptrdiff_t across = mirrored ? -1 : 1, down = flipped ? -width : width;
  bool swaps = orientation_swaps(orientation);
  return (struct placement){
      .origin = (size_t)((mirrored ? width - 1 : 0) + (flipped ? (height - 1) * width : 0)),
      .column = swaps ? down : across,
      .row = swaps ? across : down,
  };
}

void orientation_place_row(const uint8_t *row, size_t width, uint8_t *to, ptrdiff_t column) {
  for (size_t x = 0; x < width; x++) {
    uint8_t *pixel = to + 3 * column * (ptrdiff_t)x;
    pixel[0] = row[3 * x];
    pixel[1] = row[3 * x + 1];
    pixel[2] = row[3 * x + 2];
  }
}

enum vqct_status orientation_apply(unsigned orientation, struct vqct_image *image,
                                   struct vqct_error *error) {
  struct vqct_image turned;
  bool swaps = orientation_swaps(orientation);
  if (orientation == 1)
    return VQCT_OK;
  enum vqct_status status = image_new(swaps ? image->height : image->width,
                                      swaps ? image->width : image->height, 3, &turned, error);
  if (status != VQCT_OK)
    return status;
  const struct placement place = orientation_placement(orientation, &turned);
  for (size_t y = 0; y < image->height; y++)
    orientation_place_row(image->pixels + 3 * y * image->width, image->width,
                          turned.pixels + 3 * ((ptrdiff_t)place.origin + place.row * (ptrdiff_t)y),
                          place.column);
  vqct_image_free(image);
  *image = turned;
  return VQCT_OK;
}
