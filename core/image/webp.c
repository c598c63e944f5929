/* WebP through libwebp, of an animation the first frame. Sizes come from the file's outline and are
 * within the limits before libwebp, which takes memory by what its own header says, sees a pixel;
 * so that header must say the same. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/encode.h>

#include "codec.h"
#include "error.h"
#include "orientation.h"

/* ---- decoding -------------------------------------------------------------------------------- */

/* The words for what libwebp found. */
static enum vqct_status fail(VP8StatusCode code, struct vqct_error *error) {
  switch (code) {
  case VP8_STATUS_OUT_OF_MEMORY:
    return error_set(error, VQCT_MEMORY, "no memory to read a WebP file");
  case VP8_STATUS_NOT_ENOUGH_DATA:
  case VP8_STATUS_SUSPENDED:
    return error_set(error, VQCT_IMAGE, "WebP: the file is truncated");
  case VP8_STATUS_UNSUPPORTED_FEATURE:
    return error_set(error, VQCT_IMAGE, "WebP: the file has a feature that libwebp does not know");
  default:
    return error_set(error, VQCT_IMAGE, "WebP: the pixels are damaged");
  }
}

/* The frame's own header, which a hostile file may have say something else than its outline. */
static enum vqct_status read_features(const struct webp_outline *outline,
                                      WebPBitstreamFeatures *features, struct vqct_error *error) {
  VP8StatusCode code = WebPGetFeatures(outline->frame.data, outline->frame.size, features);
  if (code != VP8_STATUS_OK)
    return fail(code, error);
  if ((uint32_t)features->width != outline->frame_width ||
      (uint32_t)features->height != outline->frame_height || features->has_animation)
    return error_set(error, VQCT_IMAGE, "the WebP file has two sizes of its picture that differ");
  return VQCT_OK;
}

/* The first byte of a chunk ALPH tells how it is compressed. */
static enum vqct_status check_lossless(const struct webp_outline *outline,
                                       struct vqct_error *error) {
  enum { COMPRESSION_MASK = 3, LOSSLESS = 1 };
  const struct webp_part *alpha = &outline->alpha, *pixels = &outline->pixels;
  uint32_t width = outline->frame_width, height = outline->frame_height;
  enum vqct_status status = VQCT_OK;
  if (alpha->size && (alpha->data[0] & COMPRESSION_MASK) == LOSSLESS)
    status = webp_lossless_check(alpha->data + 1, alpha->size - 1, width, height, true, error);
  if (status == VQCT_OK && outline->lossless)
    status = webp_lossless_check(pixels->data, pixels->size, width, height, false, error);
  return status;
}

/* Decodes the frame to its place on the canvas, with or without its transparency. */
static enum vqct_status decode_frame(const struct webp_outline *outline, struct vqct_image *canvas,
                                     struct vqct_error *error) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config))
    return error_set(error, VQCT_IMAGE, "WebP: libwebp is of another version");
  size_t channels = canvas->channels, stride = canvas->width * channels;
  size_t before = outline->top * stride + outline->left * channels;
  config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = canvas->pixels + before;
  config.output.u.RGBA.stride = (int)stride;
  config.output.u.RGBA.size = stride * canvas->height - before;
  VP8StatusCode code = WebPDecode(outline->frame.data, outline->frame.size, &config);
  return code == VP8_STATUS_OK ? VQCT_OK : fail(code, error);
}

enum vqct_status codec_webp_decode(const struct webp_outline *outline, struct vqct_image *image,
                                   struct vqct_error *error) {
  WebPBitstreamFeatures features;
  enum vqct_status status;
  if ((status = read_features(outline, &features, error)) ||
      (status = check_lossless(outline, error)))
    return status;
  bool whole = outline->frame_width == outline->width && outline->frame_height == outline->height;
  uint32_t channels = whole && !features.has_alpha ? 3 : 4;
  status = image_new(outline->width, outline->height, channels, image, error);
  if (status != VQCT_OK)
    return status;
  if (!whole) /* the rest of the canvas is transparent */
    memset(image->pixels, 0, (size_t)image->width * image->height * channels);
  if ((status = decode_frame(outline, image, error)) != VQCT_OK)
    goto failed;
  image_over_white(image);
  if ((status = orientation_apply(outline->orientation, image, error)) != VQCT_OK)
    goto failed;
  return VQCT_OK;
failed:
  vqct_image_free(image);
  return status;
}

/* ---- encoding -------------------------------------------------------------------------------- */

struct webp_writing {
  struct vqct_bytes file;
  size_t room;
};

/* Called by libwebp with the next bytes; 0 where they find no room. */
static int write_bytes(const uint8_t *data, size_t count, const WebPPicture *picture) {
  struct webp_writing *writing = picture->custom_ptr;
  if (!bytes_reserve(&writing->file, &writing->room, count))
    return 0;
  memcpy(writing->file.data + writing->file.size, data, count);
  writing->file.size += count;
  return 1;
}

/* Grey becomes three equal channels, as WebP has no other. */
static void fill(WebPPicture *picture, const struct vqct_image *image) {
  size_t channels = image->channels;
  const uint8_t *from = image->pixels;
  for (size_t y = 0; y < image->height; y++) {
    uint32_t *row = picture->argb + y * (size_t)picture->argb_stride;
    for (size_t x = 0; x < image->width; x++, from += channels)
      row[x] = 0xff000000 | (uint32_t)from[0] << 16 | (uint32_t)from[channels / 2] << 8 |
               from[channels - 1];
  }
}

static enum vqct_status fail_writing(WebPEncodingError code, struct vqct_error *error) {
  if (code == VP8_ENC_ERROR_OUT_OF_MEMORY || code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY ||
      code == VP8_ENC_ERROR_BAD_WRITE)
    return error_set(error, VQCT_MEMORY, "no memory to write a WebP file");
  return error_set(error, VQCT_INVALID, "the picture does not fit a WebP file (libwebp's error %d)",
                   (int)code);
}

static enum vqct_status encode(const struct vqct_image *image, const WebPConfig *config,
                               struct vqct_bytes *file, struct vqct_error *error) {
  struct webp_writing writing = {.room = 0};
  WebPPicture picture;
  enum vqct_status status = image_check_encodable(image, error);
  if (status != VQCT_OK)
    return status;
  if (image->width > WEBP_MAX_DIMENSION || image->height > WEBP_MAX_DIMENSION)
    return error_set(error, VQCT_INVALID,
                     "a picture of %" PRIu32 " x %" PRIu32 " cannot be WebP: sides are 1 to %d",
                     image->width, image->height, WEBP_MAX_DIMENSION);
  if (!WebPPictureInit(&picture))
    return error_set(error, VQCT_INVALID, "WebP: libwebp is of another version");
  picture.use_argb = 1;
  picture.width = (int)image->width;
  picture.height = (int)image->height;
  picture.writer = write_bytes;
  picture.custom_ptr = &writing;
  bool made = WebPPictureAlloc(&picture);
  if (made) {
    fill(&picture, image);
    made = WebPEncode(config, &picture);
  }
  if (made)
    *file = writing.file;
  else
    free(writing.file.data);
  WebPPictureFree(&picture);
  return made ? VQCT_OK : fail_writing(picture.error_code, error);
}

enum vqct_status vqct_image_encode_webp(const struct vqct_image *image, int quality,
                                        struct vqct_bytes *file, struct vqct_error *error) {
  WebPConfig config;
  *file = (struct vqct_bytes){0};
  if (quality < 1 || quality > 100)
    return error_set(error, VQCT_INVALID, "WebP quality %d is not 1 to 100", quality);
  if (!WebPConfigPreset(&config, WEBP_PRESET_DEFAULT, (float)quality))
    return error_set(error, VQCT_INVALID, "WebP: libwebp is of another version");
  return encode(image, &config, file, error);
}

enum vqct_status vqct_image_encode_webp_lossless(const struct vqct_image *image,
                                                 struct vqct_bytes *file,
                                                 struct vqct_error *error) {
  enum { LEVEL = 6 }; /* of 0, fast, to 9, small */
  WebPConfig config;
  *file = (struct vqct_bytes){0};
  if (!WebPConfigInit(&config) || !WebPConfigLosslessPreset(&config, LEVEL))
    return error_set(error, VQCT_INVALID, "WebP: libwebp is of another version");
  return encode(image, &config, file, error);
}
