/* Pictures: PNG and JPEG files to 8-bit pixels and back, and resizing.
 *
 *   struct vqct_image photo, square;
 *   struct vqct_image_limits limits = VQCT_IMAGE_LIMITS_DEFAULT;
 *   if (vqct_image_decode(bytes, size, &limits, &photo, &error) == VQCT_OK &&
 *       vqct_image_resize(&photo, VQCT_RESIZE_COVER, 256, 256, &square, &error) == VQCT_OK)
 *     use(square.pixels);
 *
 * All functions may be called from any thread; an image belongs to whoever made it.
 */
#ifndef VQCT_IMAGE_H
#define VQCT_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** 8-bit sRGB pixels, rows from the top, width * channels bytes a row without padding. */
struct vqct_image {
  uint8_t *pixels; /* from malloc; vqct_image_free frees it */
  uint32_t width, height;
  uint32_t channels; /* 1 grey or 3 red, green, blue */
};

/** Frees the pixels and clears the record; may be called again. */
void vqct_image_free(struct vqct_image *image);

enum vqct_image_format { VQCT_IMAGE_UNKNOWN, VQCT_IMAGE_PNG, VQCT_IMAGE_JPEG };

/** What a file may cost. Checked from its header, before memory is taken. */
struct vqct_image_limits {
  uint64_t bytes;       /* of the file */
  uint64_t pixels;      /* width times height */
  uint32_t side;        /* width, and height */
  uint32_t chunk_bytes; /* of one PNG chunk other than IDAT, and of one JPEG marker segment */
  uint32_t scans;       /* of a progressive JPEG */
};

/* 64 MiB, 64 megapixels, 32,768 pixels a side, 8 MiB a chunk, 100 scans */
#define VQCT_IMAGE_LIMITS_DEFAULT                                                                  \
  { (uint64_t)64 << 20, (uint64_t)64 << 20, 32768, (uint32_t)8 << 20, 100 }

/** What the header of a file says. */
struct vqct_image_header {
  enum vqct_image_format format;
  uint32_t width, height; /* after the EXIF orientation is applied */
};

/** Reads the header of a PNG or JPEG file and checks it against the limits. Errors: IMAGE, LIMIT.
 */
enum vqct_status vqct_image_probe(const void *data, size_t size,
                                  const struct vqct_image_limits *limits,
                                  struct vqct_image_header *header, struct vqct_error *error);

/** Decodes a PNG (any colour type and depth, transparency over white) or a JPEG (grey, YCbCr, CMYK,
 * progressive, EXIF orientation applied) to 3 channels. The format is told from the first bytes.
 * Errors: IMAGE (damaged, truncated or of another format), LIMIT, MEMORY; image is then empty. */
enum vqct_status vqct_image_decode(const void *data, size_t size,
                                   const struct vqct_image_limits *limits, struct vqct_image *image,
                                   struct vqct_error *error);

/** A whole file in memory from malloc, which the caller frees. */
struct vqct_bytes {
  uint8_t *data;
  size_t size;
};

/** Encodes as PNG (lossless), 1 or 3 channels. Errors: INVALID, MEMORY. */
enum vqct_status vqct_image_encode_png(const struct vqct_image *image, struct vqct_bytes *file,
                                       struct vqct_error *error);

/** Encodes as baseline JPEG, quality 1 to 100, 4:2:0 below 90 and 4:4:4 from there on. */
enum vqct_status vqct_image_encode_jpeg(const struct vqct_image *image, int quality,
                                        struct vqct_bytes *file, struct vqct_error *error);

enum vqct_resize {
  VQCT_RESIZE_COVER,   /* short side to the target, centre-cropped to exactly width x height */
  VQCT_RESIZE_CONTAIN, /* fitted inside width x height, aspect kept */
  VQCT_RESIZE_NONE     /* left alone: width and height are not used */
};

/** Resizes with Pillow's antialiased bicubic filter, within one grey level of Pillow 9 and later.
 * The result is a new image. Errors: INVALID (a target of 0 or over 65,535), MEMORY. */
enum vqct_status vqct_image_resize(const struct vqct_image *image, enum vqct_resize mode,
                                   uint32_t width, uint32_t height, struct vqct_image *result,
                                   struct vqct_error *error);

/** Trims right and bottom (cropping from the centre) so that both sides are multiples of `factor`,
 * as the network needs. Errors: INVALID (a side shorter than factor), MEMORY. */
enum vqct_status vqct_image_crop_to_multiple(const struct vqct_image *image, uint32_t factor,
                                             struct vqct_image *result, struct vqct_error *error);

/** Peak signal-to-noise ratio in dB of two images of equal shape; infinite where they are equal.
 * Errors: INVALID (shapes differ). */
enum vqct_status vqct_image_psnr(const struct vqct_image *a, const struct vqct_image *b,
                                 double *decibels, struct vqct_error *error);

/** Structural similarity (Wang et al. 2004: Gaussian window of 11, sigma 1.5, mean over channels)
 * of two images of equal shape, -1 to 1. Errors: INVALID (shapes differ, or a side under 11
 * pixels). */
enum vqct_status vqct_image_ssim(const struct vqct_image *a, const struct vqct_image *b,
                                 double *similarity, struct vqct_error *error);

#ifdef __cplusplus
}
#endif
#endif
