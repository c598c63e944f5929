/* A picture's file in memory whose headers have been read, once: its size is known before any pixel
 * is decoded, and decoding goes on from there. */
#ifndef IMAGE_IMAGE_FILE_H
#define IMAGE_IMAGE_FILE_H

#include "codec.h"

/** Points to the caller's data and limits, which must outlive it. */
struct image_file {
  const uint8_t *data;
  size_t size;
  const struct vqct_image_limits *limits;
  struct vqct_image_header header;
  struct jpeg_segments segments; /* of a JPEG file */
  struct webp_outline outline;   /* of a WebP file */
};

/** Reads the headers. Errors: IMAGE (neither PNG, JPEG nor WebP, or damaged), LIMIT. */
enum vqct_status image_file_read(const void *data, size_t size,
                                 const struct vqct_image_limits *limits, struct image_file *file,
                                 struct vqct_error *error);

/** Decodes the pixels, a JPEG file's at 1/reduction of its size (1, 2, 4 or 8), rounded up; other
 * formats are decoded whole. Errors: IMAGE, LIMIT, MEMORY; image is then empty. */
enum vqct_status image_file_decode(const struct image_file *file, unsigned reduction,
                                   struct vqct_image *image, struct vqct_error *error);

#endif
