/* The picture formats behind image_file.c: what png.c, jpeg.c and webp.c offer it, and what they
 * stand on. */
#ifndef IMAGE_CODEC_H
#define IMAGE_CODEC_H

#include <stdbool.h>

#include "vqct/image.h"

/** An image with room for its pixels, which are not cleared. Errors: MEMORY; image is then empty.
 */
enum vqct_status image_new(uint32_t width, uint32_t height, uint32_t channels,
                           struct vqct_image *image, struct vqct_error *error);

/** Lays red, green, blue and alpha over white, in place, and gives back the memory of the fourth
 * channel; an image of other channels stays as it is. */
void image_over_white(struct vqct_image *image);

/** Whether an image can be written to a file: it has pixels, 1 or 3 channels, and sides of at most
 * 65,500, which is what JPEG holds. Errors: INVALID. */
enum vqct_status image_check_encodable(const struct vqct_image *image, struct vqct_error *error);

/** Makes room for `more` bytes behind the file's size; *room is how many its block holds, 0 at
 * first. The block doubles, so that a long file is copied few times. False, and nothing changed,
 * where memory is exhausted. */
bool bytes_reserve(struct vqct_bytes *file, size_t *room, size_t more);

/** Reads the size from a PNG file's header, after the orientation of a chunk eXIf before IEND is
 * applied. Errors: IMAGE. */
enum vqct_status codec_png_header(const uint8_t *data, size_t size,
                                  struct vqct_image_header *header, struct vqct_error *error);

/** Decodes a PNG file whose header has been read and found within the limits. Errors: IMAGE, LIMIT
 * (a chunk), MEMORY; image is then empty. */
enum vqct_status codec_png_decode(const uint8_t *data, size_t size,
                                  const struct vqct_image_limits *limits,
                                  const struct vqct_image_header *header, struct vqct_image *image,
                                  struct vqct_error *error);

/** What the segments before the first scan of a JPEG file say. */
struct jpeg_segments {
  uint32_t width, height; /* as stored; either may be 0 in a hostile file */
  unsigned orientation;   /* of EXIF, 1 to 8; 1 where the file does not say */
};

/** Walks the segments of a JPEG file up to its first scan. Errors: IMAGE, LIMIT (a segment). */
enum vqct_status jpeg_segments_read(const uint8_t *data, size_t size,
                                    const struct vqct_image_limits *limits,
                                    struct jpeg_segments *segments, struct vqct_error *error);

/** Decodes a JPEG file whose segments have been read and found within the limits, at 1/reduction of
 * its size. Errors: IMAGE, LIMIT (scans), MEMORY; image is then empty. */
enum vqct_status codec_jpeg_decode(const uint8_t *data, size_t size,
                                   const struct vqct_image_limits *limits,
                                   const struct jpeg_segments *segments, unsigned reduction,
                                   struct vqct_image *image, struct vqct_error *error);

/** A piece of a file. */
struct webp_part {
  const uint8_t *data;
  size_t size;
};

/** What the chunks of a WebP file say before any pixel is decoded. Points into the file. */
struct webp_outline {
  uint32_t width, height; /* of the canvas, as stored */
  unsigned orientation;   /* of EXIF, 1 to 8; 1 where the file does not say */
  uint32_t left, top, frame_width, frame_height; /* of the picture, or an animation's first frame */
  struct webp_part frame;                        /* its chunks, which libwebp decodes */
  struct webp_part pixels, alpha;                /* bodies of chunks in it; alpha may be empty */
  bool lossless;                                 /* pixels are */
};

/** Walks the chunks of a WebP file of at least 12 bytes. Errors: IMAGE, LIMIT (a chunk). */
enum vqct_status webp_outline_read(const uint8_t *data, size_t size,
                                   const struct vqct_image_limits *limits,
                                   struct webp_outline *outline, struct vqct_error *error);

/** Counts the groups of codes of a lossless picture of width x height; `headless` where it is the
 * transparency of a lossy one. Errors: IMAGE (damaged), LIMIT (more than 4,096 groups, for which
 * libwebp would take some 6 to 12 KiB each; its own writer makes at most 2,600). */
enum vqct_status webp_lossless_check(const uint8_t *data, size_t size, uint32_t width,
                                     uint32_t height, bool headless, struct vqct_error *error);

/** Decodes a WebP file whose canvas has been found within the limits. Errors: IMAGE, MEMORY; image
 * is then empty. */
enum vqct_status codec_webp_decode(const struct webp_outline *outline, struct vqct_image *image,
                                   struct vqct_error *error);

#endif
