/* What the codecs stand on: the image record and the block of bytes that they write. */
#include <inttypes.h>
#include <stdlib.h>

#include "codec.h"
#include "error.h"
#include "large_pages.h"
#include "size.h"

void vqct_image_free(struct vqct_image *image) {
  free(image->pixels);
  *image = (struct vqct_image){0};
}

enum vqct_status image_new(uint32_t width, uint32_t height, uint32_t channels,
                           struct vqct_image *image, struct vqct_error *error) {
  size_t bytes;
  *image = (struct vqct_image){0};
  if (size_multiply(width, height, &bytes) && size_multiply(bytes, channels, &bytes))
    image->pixels = malloc(bytes);
  if (!image->pixels)
    return error_set(error, VQCT_MEMORY, "no memory for a picture of %" PRIu32 " x %" PRIu32, width,
                     height);
  large_pages_ask(image->pixels, bytes); /* malloc takes 32 MiB and more anew each time */
  image->width = width;
  image->height = height;
  image->channels = channels;
  return VQCT_OK;
}

/* a * p / 255 is rounded exactly. */
void image_over_white(struct vqct_image *image) {
  size_t count = (size_t)image->width * image->height;
  const uint8_t *from = image->pixels;
  uint8_t *to = image->pixels;
  if (image->channels != 4)
    return;
  for (size_t i = 0; i < count; i++, from += 4, to += 3) {
    unsigned alpha = from[3], white = 255 * (255 - alpha) + 128;
    for (int c = 0; c < 3; c++) {
      unsigned sum = from[c] * alpha + white;
      to[c] = (uint8_t)((sum + (sum >> 8)) >> 8);
    }
  }
  image->channels = 3;
  /* A realloc that fails leaves the block as it was. */
  uint8_t *pixels = realloc(image->pixels, count * 3);
  if (pixels)
    image->pixels = pixels;
}

enum vqct_status image_check_encodable(const struct vqct_image *image, struct vqct_error *error) {
  enum { SIDE_MAX = 65500 };
  if (image->pixels && image->width && image->height && image->width <= SIDE_MAX &&
      image->height <= SIDE_MAX && (image->channels == 1 || image->channels == 3))
    return VQCT_OK;
  return error_set(error, VQCT_INVALID,
                   "a picture of %" PRIu32 " x %" PRIu32 " with %" PRIu32
                   " channels cannot be encoded: sides are 1 to %d, channels 1 or 3",
                   image->width, image->height, image->channels, SIDE_MAX);
}

bool bytes_reserve(struct vqct_bytes *file, size_t *room, size_t more) {
  size_t need, doubled;
  if (!size_add(file->size, more, &need) || !size_multiply(need, 2, &doubled))
    return false;
  if (need <= *room)
    return true;
  uint8_t *data = realloc(file->data, doubled);
  if (!data)
    return false;
  file->data = data;
  *room = doubled;
  return true;
}
