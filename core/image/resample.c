/* Antialiased bicubic scaling in two passes, rows first, as Pillow does for 8-bit pictures
 * (Pillow's Resample.c is the reference): weights are computed in double, normalised, and rounded
 * to 22 fractional bits; each pass adds products in 32-bit integers, rounds, and clips to 8 bits.
 * So the sum's order does not matter, and any way to add them up gives the same pixels.
 */
#include "resample.h"

#include <string.h>

#include "codec.h"
#include "error.h"
#include "resample_bytes.h"
#include "resample_lanes.h"

static void copy_part(const struct vqct_image *image, const struct resample_target *target,
                      struct vqct_image *result) {
  size_t row_bytes = (size_t)target->width * image->channels;
  for (size_t y = 0; y < target->height; y++)
    memcpy(result->pixels + y * row_bytes,
           image->pixels + ((target->top + y) * image->width + target->left) * image->channels,
           row_bytes);
}

static bool scale(const struct vqct_image *image, const struct resample_target *target,
                  enum cpu_isa isa, struct vqct_image *result) {
  struct resampling r = {.image = image, .result = result};
  size_t last = target->height - 1;
  bool made =
      axis_weights_compute(&r.x, image->width, target->full_width, target->left, target->width) &&
      axis_weights_compute(&r.y, image->height, target->full_height, target->top, target->height);
  if (made) {
    r.top = r.y.first[0];
    r.rows = r.y.first[last] + r.y.length[last] - r.top;
    made = resample_bytes_possible(isa) ? resample_bytes(&r) : resample_lanes(&r, isa);
  }
  axis_weights_free(&r.x);
  axis_weights_free(&r.y);
  return made;
}

uint64_t resample_centre(uint64_t whole, uint64_t part) {
  uint64_t half = (whole - part) / 2;
  return (whole - part) % 2 ? half + half % 2 : half;
}

struct resample_target resample_cover(uint32_t image_width, uint32_t image_height, uint32_t width,
                                      uint32_t height) {
  struct resample_target target = {.width = width, .height = height};
  bool by_width = (uint64_t)width * image_height >= (uint64_t)height * image_width;
  target.full_width = by_width ? width : (uint64_t)image_width * height / image_height;
  target.full_height = by_width ? (uint64_t)image_height * width / image_width : height;
  target.left = resample_centre(target.full_width, width);
  target.top = resample_centre(target.full_height, height);
  return target;
}

enum vqct_status image_resample(const struct vqct_image *image,
                                const struct resample_target *target, enum cpu_isa isa,
                                struct vqct_image *result, struct vqct_error *error) {
  enum vqct_status status =
      image_new(target->width, target->height, image->channels, result, error);
  if (status != VQCT_OK)
    return status;
  if (target->full_width == image->width && target->full_height == image->height) {
    copy_part(image, target, result);
    return VQCT_OK;
  }
  if (scale(image, target, isa, result))
    return VQCT_OK;
  vqct_image_free(result);
  return error_set(error, VQCT_MEMORY, "no memory to scale a picture");
}
