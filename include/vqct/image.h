/* Pictures: PNG, JPEG and WebP files to 8-bit pixels and back, and resizing.
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

enum vqct_image_format { VQCT_IMAGE_UNKNOWN, VQCT_IMAGE_PNG, VQCT_IMAGE_JPEG, VQCT_IMAGE_WEBP };

/** What a file may cost. Checked from its header, before memory is taken. */
struct vqct_image_limits {
  uint64_t bytes;       /* of the file */
  uint64_t pixels;      /* width times height */
  uint32_t side;        /* width, and height */
  uint32_t chunk_bytes; /* of one PNG or WebP chunk without pixels, and one JPEG marker segment */
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

/** Reads the header of a PNG, JPEG or WebP file and checks it against the limits. Errors: IMAGE,
 * LIMIT. */
enum vqct_status vqct_image_probe(const void *data, size_t size,
                                  const struct vqct_image_limits *limits,
                                  struct vqct_image_header *header, struct vqct_error *error);

/** Decodes a PNG (any colour type and depth, transparency over white, eXIf orientation applied),
 * a JPEG (grey, YCbCr, CMYK, progressive, EXIF orientation applied) or a WebP (lossy or lossless,
 * of an animation the first frame, transparency over white, EXIF orientation applied) to 3
 * channels, the values as stored: gamma and colour profiles are not applied, and of 16-bit samples
 * the upper 8 bits are kept. The format is told from the first bytes; bytes after the picture's end
 * are ignored. A damaged file gives no picture: of libjpeg's warnings, those that mean lost pixels
 * are errors here. Beside the file and the result, a progressive JPEG takes up to 8 bytes a pixel.
 * Errors: IMAGE (damaged, truncated or of another format), LIMIT, MEMORY; image is then empty. */
enum vqct_status vqct_image_decode(const void *data, size_t size,
                                   const struct vqct_image_limits *limits, struct vqct_image *image,
                                   struct vqct_error *error);

/** A whole file in memory from malloc, which the caller frees. */
struct vqct_bytes {
  uint8_t *data;
  size_t size;
};

/** Encodes as PNG (lossless), 1 or 3 channels, sides of 1 to 65,500. Errors: INVALID, MEMORY; the
 * file is then empty. */
enum vqct_status vqct_image_encode_png(const struct vqct_image *image, struct vqct_bytes *file,
                                       struct vqct_error *error);

/** Encodes as baseline JPEG, quality 1 to 100, 4:2:0 below 90 and 4:4:4 from there on; otherwise
 * as vqct_image_encode_png. */
enum vqct_status vqct_image_encode_jpeg(const struct vqct_image *image, int quality,
                                        struct vqct_bytes *file, struct vqct_error *error);

/** Encodes as lossy WebP, quality 1 to 100, or as lossless WebP, sides of 1 to 16,383, grey as
 * three equal channels; otherwise as vqct_image_encode_png. */
enum vqct_status vqct_image_encode_webp(const struct vqct_image *image, int quality,
                                        struct vqct_bytes *file, struct vqct_error *error);
enum vqct_status vqct_image_encode_webp_lossless(const struct vqct_image *image,
                                                 struct vqct_bytes *file, struct vqct_error *error);

enum vqct_resize {
  /* Scaled so that the target is just covered (for a square, the short side gets its length), the
   * other side rounded down, and cropped from the centre to exactly width x height: the pixels of
   * torchvision's Resize and CenterCrop on a Pillow picture. */
  VQCT_RESIZE_COVER,
  /* Scaled up or down to fit inside width x height, the aspect kept, as Pillow's ImageOps.contain
   * does; a side is at least 1. */
  VQCT_RESIZE_CONTAIN,
  /* Copied: width and height are not used. */
  VQCT_RESIZE_NONE
};

/** Resizes with the antialiased bicubic filter (a = -0.5) of Pillow 9 and later, in its fixed-point
 * arithmetic. The result is a new image; it is empty after an error. Errors: INVALID (no pixels,
 * other than 1 or 3 channels, a target of 0 or over 65,535), MEMORY. */
enum vqct_status vqct_image_resize(const struct vqct_image *image, enum vqct_resize mode,
                                   uint32_t width, uint32_t height, struct vqct_image *result,
                                   struct vqct_error *error);

/** Crops from the centre (the odd pixel goes at the right and bottom) so that both sides are
 * multiples of `factor`, as the network needs. Errors: INVALID (a side shorter than factor, or a
 * factor of 0), MEMORY. */
enum vqct_status vqct_image_crop_to_multiple(const struct vqct_image *image, uint32_t factor,
                                             struct vqct_image *result, struct vqct_error *error);

/** Peak signal-to-noise ratio in dB of two images of equal shape; infinite where they are equal.
 * Errors: INVALID (shapes differ). */
enum vqct_status vqct_image_psnr(const struct vqct_image *a, const struct vqct_image *b,
                                 double *decibels, struct vqct_error *error);

/** Structural similarity (Wang et al. 2004: Gaussian window of 11, sigma 1.5, mean over channels)
 * of two images of equal shape, -1 to 1. Errors: INVALID (shapes differ, or a side under 11
 * pixels), MEMORY. */
enum vqct_status vqct_image_ssim(const struct vqct_image *a, const struct vqct_image *b,
                                 double *similarity, struct vqct_error *error);

#ifdef __cplusplus
}
#endif
#endif
