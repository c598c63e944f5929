/* From a file's first bytes to the codec that reads it. */
#include "image_file.h"

#include <inttypes.h>
#include <string.h>

#include "error.h"
#include "orientation.h"

static enum vqct_image_format format_of(const uint8_t *data, size_t size) {
  static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  static const uint8_t jpeg[3] = {0xff, 0xd8, 0xff};
  if (size >= sizeof png && memcmp(data, png, sizeof png) == 0)
    return VQCT_IMAGE_PNG;
  if (size >= sizeof jpeg && memcmp(data, jpeg, sizeof jpeg) == 0)
    return VQCT_IMAGE_JPEG;
  return VQCT_IMAGE_UNKNOWN;
}

static enum vqct_status check_size(const struct vqct_image_header *header,
                                   const struct vqct_image_limits *limits,
                                   struct vqct_error *error) {
  uint32_t width = header->width, height = header->height;
  if (width == 0 || height == 0)
    return error_set(error, VQCT_IMAGE, "the picture is empty: %" PRIu32 " x %" PRIu32 " pixels",
                     width, height);
  if (width > limits->side || height > limits->side)
    return error_set(error, VQCT_LIMIT,
                     "the picture of %" PRIu32 " x %" PRIu32 " pixels is over the limit of %" PRIu32
                     " a side",
                     width, height, limits->side);
  if ((uint64_t)width * height > limits->pixels)
    return error_set(error, VQCT_LIMIT,
                     "the picture of %" PRIu32 " x %" PRIu32 " is over the limit of %" PRIu64
                     " pixels",
                     width, height, limits->pixels);
  return VQCT_OK;
}

/* The size of a JPEG as it is shown. */
static enum vqct_status read_jpeg_header(struct image_file *file, struct vqct_error *error) {
  struct jpeg_segments *segments = &file->segments;
  enum vqct_status status =
      jpeg_segments_read(file->data, file->size, file->limits, segments, error);
  if (status != VQCT_OK)
    return status;
  bool swaps = orientation_swaps(segments->orientation);
  file->header.width = swaps ? segments->height : segments->width;
  file->header.height = swaps ? segments->width : segments->height;
  return VQCT_OK;
}

enum vqct_status image_file_read(const void *data, size_t size,
                                 const struct vqct_image_limits *limits, struct image_file *file,
                                 struct vqct_error *error) {
  enum vqct_status status;
  *file = (struct image_file){
      .data = data, .size = size, .limits = limits, .header.format = format_of(data, size)};
  if (size > limits->bytes)
    return error_set(error, VQCT_LIMIT,
                     "the picture file of %zu bytes is over the limit of %" PRIu64, size,
                     limits->bytes);
  switch (file->header.format) {
  case VQCT_IMAGE_PNG:
    status = codec_png_header(file->data, size, &file->header, error);
    break;
  case VQCT_IMAGE_JPEG:
    status = read_jpeg_header(file, error);
    break;
  default:
    return error_set(error, VQCT_IMAGE,
                     size ? "the file is neither PNG nor JPEG" : "the picture file is empty");
  }
  return status == VQCT_OK ? check_size(&file->header, limits, error) : status;
}

enum vqct_status vqct_image_probe(const void *data, size_t size,
                                  const struct vqct_image_limits *limits,
                                  struct vqct_image_header *header, struct vqct_error *error) {
  struct image_file file;
  enum vqct_status status = image_file_read(data, size, limits, &file, error);
  *header = file.header;
  return status;
}

enum vqct_status image_file_decode(const struct image_file *file, unsigned reduction,
                                   struct vqct_image *image, struct vqct_error *error) {
  *image = (struct vqct_image){0};
  if (file->header.format == VQCT_IMAGE_PNG)
    return codec_png_decode(file->data, file->size, file->limits, &file->header, image, error);
  return codec_jpeg_decode(file->data, file->size, file->limits, &file->segments, reduction, image,
                           error);
}

enum vqct_status vqct_image_decode(const void *data, size_t size,
                                   const struct vqct_image_limits *limits, struct vqct_image *image,
                                   struct vqct_error *error) {
  struct image_file file;
  *image = (struct vqct_image){0};
  enum vqct_status status = image_file_read(data, size, limits, &file, error);
  return status == VQCT_OK ? image_file_decode(&file, 1, image, error) : status;
}
