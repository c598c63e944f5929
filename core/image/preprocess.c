/* The shapes that a network takes: which size a picture is scaled to, and what of it is kept. */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>

#include "error.h"
#include "resample.h"

static enum vqct_status check_image(const struct vqct_image *image, struct vqct_error *error) {
  if (image->pixels && image->width && image->height &&
      (image->channels == 1 || image->channels == 3))
    return VQCT_OK;
  return error_set(error, VQCT_INVALID,
                   "a picture of %" PRIu32 " x %" PRIu32 " with %" PRIu32
                   " channels cannot be resized: it needs pixels, and 1 or 3 channels",
                   image->width, image->height, image->channels);
}

/* Half of what is cut off, rounded to even as Python's round() does in torchvision's CenterCrop. */
static uint64_t crop_offset(uint64_t whole, uint64_t part) {
  uint64_t half = (whole - part) / 2;
  return (whole - part) % 2 ? half + half % 2 : half;
}

static struct resample_target cover(const struct vqct_image *image, uint32_t width,
                                    uint32_t height) {
  struct resample_target target = {.width = width, .height = height};
  bool by_width = (uint64_t)width * image->height >= (uint64_t)height * image->width;
  target.full_width = by_width ? width : (uint64_t)image->width * height / image->height;
  target.full_height = by_width ? (uint64_t)image->height * width / image->width : height;
  target.left = crop_offset(target.full_width, width);
  target.top = crop_offset(target.full_height, height);
  return target;
}

static struct resample_target contain(const struct vqct_image *image, uint32_t width,
                                      uint32_t height) {
  double aspect = (double)image->width / image->height;
  if (aspect > (double)width / height)
    height = (uint32_t)fmax(1, nearbyint((double)image->height / image->width * width));
  else
    width = (uint32_t)fmax(1, nearbyint(aspect * height));
  return (struct resample_target){
      .full_width = width, .full_height = height, .width = width, .height = height};
}

enum vqct_status vqct_image_resize(const struct vqct_image *image, enum vqct_resize mode,
                                   uint32_t width, uint32_t height, struct vqct_image *result,
                                   struct vqct_error *error) {
  enum { TARGET_MAX = 65535 };
  struct resample_target target = {.full_width = image->width,
                                   .full_height = image->height,
                                   .width = image->width,
                                   .height = image->height};
  *result = (struct vqct_image){0};
  enum vqct_status status = check_image(image, error);
  if (status != VQCT_OK)
    return status;
  if (mode != VQCT_RESIZE_NONE) {
    if (width == 0 || height == 0 || width > TARGET_MAX || height > TARGET_MAX)
      return error_set(error, VQCT_INVALID,
                       "a picture cannot be resized to %" PRIu32 " x %" PRIu32
                       ": a side is 1 to %d pixels",
                       width, height, TARGET_MAX);
    target =
        mode == VQCT_RESIZE_COVER ? cover(image, width, height) : contain(image, width, height);
  }
  return image_resample(image, &target, cpu_best_isa(), result, error);
}

enum vqct_status vqct_image_crop_to_multiple(const struct vqct_image *image, uint32_t factor,
                                             struct vqct_image *result, struct vqct_error *error) {
  *result = (struct vqct_image){0};
  enum vqct_status status = check_image(image, error);
  if (status != VQCT_OK)
    return status;
  if (factor == 0 || image->width < factor || image->height < factor)
    return error_set(error, VQCT_INVALID,
                     "a picture of %" PRIu32 " x %" PRIu32
                     " pixels cannot be cropped to multiples of %" PRIu32,
                     image->width, image->height, factor);
  struct resample_target target = {.full_width = image->width,
                                   .full_height = image->height,
                                   .left = image->width % factor / 2,
                                   .top = image->height % factor / 2,
                                   .width = image->width - image->width % factor,
                                   .height = image->height - image->height % factor};
  return image_resample(image, &target, cpu_best_isa(), result, error);
}
