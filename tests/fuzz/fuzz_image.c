/* Whatever bytes arrive as a picture: an error, or a picture of the shape that the header promised,
 * which can be scaled and survives a PNG file unchanged. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vqct/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition)
    abort();
}

static void check_png(const struct vqct_image *image, const struct vqct_image_limits *limits) {
  struct vqct_bytes file;
  struct vqct_image again;
  demand(vqct_image_encode_png(image, &file, NULL) == VQCT_OK);
  demand(vqct_image_decode(file.data, file.size, limits, &again, NULL) == VQCT_OK);
  demand(again.width == image->width && again.height == image->height);
  demand(memcmp(again.pixels, image->pixels, (size_t)image->width * image->height * 3) == 0);
  vqct_image_free(&again);
  free(file.data);
}

static void check_scaling(const struct vqct_image *image, enum vqct_resize mode) {
  struct vqct_image scaled;
  demand(vqct_image_resize(image, mode, 24, 17, &scaled, NULL) == VQCT_OK);
  demand(scaled.width <= 24 && scaled.height <= 17);
  vqct_image_free(&scaled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const struct vqct_image_limits limits = {1 << 20, 1 << 16, 2048, 1 << 16, 10};
  struct vqct_image_header header;
  struct vqct_image image;
  struct vqct_error error;
  enum vqct_status probed = vqct_image_probe(data, size, &limits, &header, &error);
  enum vqct_status status = vqct_image_decode(data, size, &limits, &image, &error);
  demand(probed == VQCT_OK || status == probed);
  if (status != VQCT_OK) {
    demand(!image.pixels && error.status == status && error.message[0]);
    return 0;
  }
  demand(image.width == header.width && image.height == header.height && image.channels == 3);
  check_scaling(&image, VQCT_RESIZE_COVER);
  check_scaling(&image, VQCT_RESIZE_CONTAIN);
  check_png(&image, &limits);
  vqct_image_free(&image);
  return 0;
}
