/* From a file's first bytes to the codec that reads it. */
#include "image_file.h"

#include <inttypes.h>

#include "error.h"
#include "format.h"
#include "orientation.h"

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

/* The size of a picture as it is shown. */
static void set_size(struct vqct_image_header *header, uint32_t width, uint32_t height,
                     unsigned orientation) {
  bool swaps = orientation_swaps(orientation);
  header->width = swaps ? height : width;
  header->height = swaps ? width : height;
}

static enum vqct_status read_jpeg_header(struct image_file *file, struct vqct_error *error) {
  struct jpeg_segments *segments = &file->segments;
  enum vqct_status status =
      jpeg_segments_read(file->data, file->size, file->limits, segments, error);
  if (status == VQCT_OK)
    set_size(&file->header, segments->width, segments->height, segments->orientation);
  return status;
}

static enum vqct_status read_webp_header(struct image_file *file, struct vqct_error *error) {
  struct webp_outline *outline = &file->outline;
  enum vqct_status status = webp_outline_read(file->data, file->size, file->limits, outline, error);
  if (status == VQCT_OK)
    set_size(&file->header, outline->width, outline->height, outline->orientation);
  return status;
}

/* What is read here, and what the file is instead where its first bytes tell. */
static enum vqct_status refuse_format(const struct image_file *file, struct vqct_error *error) {
  const char *name = format_unread(file->data, file->size);
  if (!file->size)
    return error_set(error, VQCT_IMAGE, "the picture file is empty");
  if (name)
    return error_set(error, VQCT_IMAGE, "%s is not read here: PNG, JPEG or WebP", name);
  return error_set(error, VQCT_IMAGE, "the file is neither PNG, JPEG nor WebP");
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
  case VQCT_IMAGE_WEBP:
    status = read_webp_header(file, error);
    break;
  default:
    return refuse_format(file, error);
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
  if (file->header.format == VQCT_IMAGE_WEBP)
    return codec_webp_decode(&file->outline, image, error);
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
