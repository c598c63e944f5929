/* A picture becomes what a model wants: which size it is scaled to, what of it is kept, in how many
 * channels, and the step between bytes and the network's floats. Resizing and both crops are one
 * target of resample.c, so that only the pixels which are kept are computed. Whoever shows a
 * picture to a network or a network's output to a person comes through here. */
#include "fit.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "error.h"
#include "resample.h"

/* ---- sizes ----------------------------------------------------------------------------------- */

struct size {
  uint32_t width, height; /* of the picture as it comes, each at least 1 */
};

static struct resample_target contain(struct size image, uint32_t width, uint32_t height) {
  double aspect = (double)image.width / image.height;
  if (aspect > (double)width / height)
    height = (uint32_t)fmax(1, nearbyint((double)image.height / image.width * width));
  else
    width = (uint32_t)fmax(1, nearbyint(aspect * height));
  return (struct resample_target){
      .full_width = width, .full_height = height, .width = width, .height = height};
}

static struct resample_target resized(struct size image, enum vqct_resize mode, uint32_t width,
                                      uint32_t height) {
  if (mode == VQCT_RESIZE_COVER)
    return resample_cover(image.width, image.height, width, height);
  if (mode == VQCT_RESIZE_CONTAIN)
    return contain(image, width, height);
  return (struct resample_target){.full_width = image.width,
                                  .full_height = image.height,
                                  .width = image.width,
                                  .height = image.height};
}

/* Of what the target keeps, the centre whose sides are multiples of factor; the odd pixel goes at
 * the right and bottom. */
static void crop_to_multiple(struct resample_target *target, uint32_t factor) {
  uint32_t across = target->width % factor, down = target->height % factor;
  target->left += across / 2;
  target->top += down / 2;
  target->width -= across;
  target->height -= down;
}

/* Where a window begins that has a point, 0 to 1 of the whole, as near to its middle as can be. In
 * the middle of the whole that is the centre. */
static uint64_t begin_around(double point, uint64_t whole, uint64_t part) {
  double begin = nearbyint(point * (double)whole - (double)part / 2);
  return (uint64_t)fmin(fmax(begin, 0), (double)(whole - part));
}

static struct resample_target fitted(const struct fit *fit, uint32_t width, uint32_t height) {
  bool cropped = fit->crop.width > 0;
  const struct size used = {cropped ? fit->crop.width : width, cropped ? fit->crop.height : height};
  struct resample_target target = resized(used, fit->resize, fit->width, fit->height);
  if (fit->focus.given && fit->resize == VQCT_RESIZE_COVER) {
    target.left = begin_around(fit->focus.x, target.full_width, target.width);
    target.top = begin_around(fit->focus.y, target.full_height, target.height);
  }
  crop_to_multiple(&target, fit->factor);
  return target;
}

uint64_t fit_size(const struct fit *fit, uint32_t width, uint32_t height) {
  const struct resample_target target = fitted(fit, width, height);
  return (uint64_t)target.width * target.height;
}

/* ---- pictures -------------------------------------------------------------------------------- */

static enum vqct_status check_image(const struct vqct_image *image, struct vqct_error *error) {
  if (image->pixels && image->width && image->height &&
      (image->channels == 1 || image->channels == 3))
    return VQCT_OK;
  return error_set(error, VQCT_INVALID,
                   "a picture of %" PRIu32 " x %" PRIu32 " with %" PRIu32
                   " channels cannot be resized: it needs pixels, and 1 or 3 channels",
                   image->width, image->height, image->channels);
}

/* Errors: INVALID. */
static enum vqct_status check_target(enum vqct_resize mode, uint32_t width, uint32_t height,
                                     struct vqct_error *error) {
  enum { TARGET_MAX = 65535 };
  if (mode == VQCT_RESIZE_NONE ||
      (width >= 1 && height >= 1 && width <= TARGET_MAX && height <= TARGET_MAX))
    return VQCT_OK;
  return error_set(error, VQCT_INVALID,
                   "a picture cannot be resized to %" PRIu32 " x %" PRIu32
                   ": a side is 1 to %d pixels",
                   width, height, TARGET_MAX);
}

enum vqct_status vqct_image_resize(const struct vqct_image *image, enum vqct_resize mode,
                                   uint32_t width, uint32_t height, struct vqct_image *result,
                                   struct vqct_error *error) {
  *result = (struct vqct_image){0};
  enum vqct_status status;
  if ((status = check_image(image, error)) || (status = check_target(mode, width, height, error)))
    return status;
  const struct resample_target target =
      resized((struct size){image->width, image->height}, mode, width, height);
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
  const struct fit fit = {.resize = VQCT_RESIZE_NONE, .factor = factor};
  const struct resample_target target = fitted(&fit, image->width, image->height);
  return image_resample(image, &target, cpu_best_isa(), result, error);
}

static bool keeps_all(const struct resample_target *target, const struct vqct_image *image) {
  return target->full_width == image->width && target->full_height == image->height &&
         target->width == image->width && target->height == image->height;
}

bool fit_box_inside(const struct fit_box *box, uint32_t width, uint32_t height) {
  return box->width == 0 || (box->height > 0 && box->width <= width && box->height <= height &&
                             box->left <= width - box->width && box->top <= height - box->height);
}

/* Leaves that part of a picture, in place. */
static void crop_to(struct vqct_image *picture, const struct fit_box *box) {
  size_t channels = picture->channels, stride = picture->width * channels;
  const uint8_t *from = picture->pixels + box->top * stride + box->left * channels;
  for (size_t y = 0; y < box->height; y++) /* to the front of its own memory */
    memmove(picture->pixels + y * box->width * channels, from + y * stride, box->width * channels);
  picture->width = box->width;
  picture->height = box->height;
}

/* Errors: INVALID. */
static enum vqct_status check_crop(const struct fit_box *crop, const struct vqct_image *picture,
                                   struct vqct_error *error) {
  if (fit_box_inside(crop, picture->width, picture->height))
    return VQCT_OK;
  return error_set(error, VQCT_INVALID,
                   "%" PRIu32 " x %" PRIu32 " pixels from %" PRIu32 ",%" PRIu32
                   " on are not inside the picture of %" PRIu32 " x %" PRIu32,
                   crop->width, crop->height, crop->left, crop->top, picture->width,
                   picture->height);
}

enum vqct_status fit_picture(const struct fit *fit, struct vqct_image *picture,
                             struct vqct_error *error) {
  enum vqct_status status;
  if ((status = check_image(picture, error)) ||
      (status = check_target(fit->resize, fit->width, fit->height, error)) ||
      (status = check_crop(&fit->crop, picture, error)))
    return status;
  if (fit->crop.width)
    crop_to(picture, &fit->crop);
  const struct resample_target target = fitted(fit, picture->width, picture->height);
  if (!target.width || !target.height)
    return error_set(error, VQCT_IMAGE,
                     "a picture of %" PRIu32 " x %" PRIu32 " pixels has a side shorter than a "
                     "token's, %" PRIu32 " pixels",
                     picture->width, picture->height, fit->factor);
  if (!keeps_all(&target, picture)) {
    struct vqct_image result;
    status = image_resample(picture, &target, cpu_best_isa(), &result, error);
    if (status != VQCT_OK)
      return status;
    vqct_image_free(picture);
    *picture = result;
  }
  return fit_channels(picture, fit->channels, error);
}

void fit_mirror(struct vqct_image *image) {
  size_t channels = image->channels;
  for (size_t y = 0; y < image->height; y++) {
    uint8_t *row = image->pixels + y * image->width * channels;
    for (size_t left = 0, right = image->width - 1; left < right; left++, right--)
      for (size_t c = 0; c < channels; c++) {
        uint8_t held = row[channels * left + c];
        row[channels * left + c] = row[channels * right + c];
        row[channels * right + c] = held;
      }
  }
}

unsigned fit_reduction(const struct fit *fit, const struct vqct_image_header *header) {
  if (header->format != VQCT_IMAGE_JPEG || fit->resize == VQCT_RESIZE_NONE || fit->crop.width ||
      (uint64_t)header->width * header->height <= FIT_WHOLE_PIXELS)
    return 1;
  const struct resample_target target =
      resized((struct size){header->width, header->height}, fit->resize, fit->width, fit->height);
  unsigned reduction = 8;
  while (reduction > 1 && (header->width / reduction < 2 * target.full_width ||
                           header->height / reduction < 2 * target.full_height))
    reduction /= 2;
  return reduction;
}

enum vqct_status fit_decode(const struct fit *fit, const struct image_file *file,
                            struct vqct_image *picture, struct vqct_error *error) {
  *picture = (struct vqct_image){0};
  enum vqct_status status = check_target(fit->resize, fit->width, fit->height, error);
  if (status != VQCT_OK)
    return status;
  status = image_file_decode(file, fit_reduction(fit, &file->header), picture, error);
  if (status != VQCT_OK)
    return status;
  status = fit_picture(fit, picture, error);
  if (status != VQCT_OK)
    vqct_image_free(picture);
  return status;
}

/* ---- channels -------------------------------------------------------------------------------- */

/* Luma of ITU-R BT.601 in place, rounded as Pillow's convert("L") does. */
static void make_grey(struct vqct_image *picture) {
  size_t count = (size_t)picture->width * picture->height;
  for (size_t i = 0; i < count; i++) {
    const uint8_t *p = picture->pixels + 3 * i;
    picture->pixels[i] = (uint8_t)((19595U * p[0] + 38470U * p[1] + 7471U * p[2] + 0x8000U) >> 16);
  }
  picture->channels = 1;
}

enum vqct_status fit_channels(struct vqct_image *picture, uint32_t channels,
                              struct vqct_error *error) {
  struct vqct_image three;
  if (channels == picture->channels)
    return VQCT_OK;
  if (channels == 1) {
    make_grey(picture);
    return VQCT_OK;
  }
  enum vqct_status status = image_new(picture->width, picture->height, 3, &three, error);
  if (status != VQCT_OK)
    return status;
  size_t numbers = (size_t)three.width * three.height * 3;
  for (size_t i = 0; i < numbers; i++)
    three.pixels[i] = picture->pixels[i / 3];
  vqct_image_free(picture);
  *picture = three;
  return VQCT_OK;
}

/* ---- numbers --------------------------------------------------------------------------------- */

void fit_floats(const uint8_t *bytes, size_t count, float *values) {
  for (size_t i = 0; i < count; i++)
    values[i] = (float)bytes[i] / 127.5F - 1.0F;
}

bool fit_bytes(const float *values, size_t count, uint8_t *bytes) {
  int finite = 1;
  for (size_t i = 0; i < count; i++) {
    float value = values[i] * 127.5F + 128.0F; /* + 127.5, and a half to round */
    finite &= isfinite(values[i]) != 0;
    value = value > 0 ? value : 0;
    value = value < 255 ? value : 255;
    bytes[i] = (uint8_t)value;
  }
  return finite;
}
