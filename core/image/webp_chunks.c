/* The outline of a WebP file: a RIFF of chunks, in its simple form one of lossy or lossless pixels.
 * The extended form begins with a chunk VP8X, which has the canvas and says what else there is:
 * transparency, EXIF behind the pixels, frames of an animation. Every length is compared with the
 * bytes that are there before it is followed, so that no memory is taken for what is cut off. */
#include <inttypes.h>
#include <string.h>

#include <webp/decode.h>

#include "codec.h"
#include "error.h"
#include "orientation.h"

enum {
  RIFF_BYTES = 12,  /* "RIFF", a length, "WEBP" */
  CHUNK_BYTES = 8,  /* type and length */
  VP8X_BYTES = 10,  /* flags, three that are reserved, width and height less 1 */
  FRAME_BYTES = 16, /* of ANMF before its own chunks */
  FLAG_ANIMATION = 0x02,
  FLAG_EXIF = 0x08
};

static uint32_t read_u24(const uint8_t *bytes) {
  return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
}

static uint32_t read_u32(const uint8_t *bytes) {
  return read_u24(bytes) | (uint32_t)bytes[3] << 24;
}

struct chunk {
  const uint8_t *type; /* of 4 characters */
  const uint8_t *body;
  size_t length;
};

static bool is(const struct chunk *chunk, const char *type) {
  return memcmp(chunk->type, type, 4) == 0;
}

/* Bytes that pixels are made of, which the limit on chunks does not count. */
static bool has_pixels(const struct chunk *chunk) {
  return is(chunk, "VP8 ") || is(chunk, "VP8L") || is(chunk, "ALPH") || is(chunk, "ANMF");
}

/* The chunk at *at, and *at moved behind it and the byte that makes its length even. */
static enum vqct_status next_chunk(const uint8_t *data, size_t size, uint32_t limit, size_t *at,
                                   struct chunk *chunk, struct vqct_error *error) {
  *chunk = (struct chunk){data, data, 0};
  if (size - *at < CHUNK_BYTES)
    return error_set(error, VQCT_IMAGE, "the WebP file is truncated in a chunk at byte %zu", *at);
  *chunk = (struct chunk){data + *at, data + *at + CHUNK_BYTES, read_u32(data + *at + 4)};
  if (chunk->length > size - *at - CHUNK_BYTES)
    return error_set(error, VQCT_IMAGE,
                     "the WebP chunk %.4s at byte %zu has %zu bytes, and %zu are left",
                     (const char *)chunk->type, *at, chunk->length, size - *at - CHUNK_BYTES);
  if (chunk->length > limit && !has_pixels(chunk))
    return error_set(error, VQCT_LIMIT,
                     "the WebP chunk %.4s at byte %zu has %zu bytes, over the limit of %" PRIu32,
                     (const char *)chunk->type, *at, chunk->length, limit);
  *at += CHUNK_BYTES + chunk->length;
  *at += chunk->length % 2 && *at < size;
  return VQCT_OK;
}

/* Whether a chunk has the pixels of a frame, which are noted, as is transparency before them. */
static bool note_pixels(const struct chunk *chunk, struct webp_outline *outline) {
  struct webp_part part = {chunk->body, chunk->length};
  if (is(chunk, "ALPH")) {
    outline->alpha = part;
    outline->frame.data = chunk->type;
  }
  outline->lossless = is(chunk, "VP8L");
  if (!outline->lossless && !is(chunk, "VP8 "))
    return false;
  if (!outline->frame.data)
    outline->frame.data = chunk->type;
  outline->frame.size = (size_t)(part.data + part.size - outline->frame.data);
  outline->pixels = part;
  return true;
}

/* A frame's place on the canvas, which holds it whole, and its pixels. */
static enum vqct_status read_frame(const struct chunk *frame, uint32_t limit,
                                   struct webp_outline *outline, struct vqct_error *error) {
  const uint8_t *body = frame->body;
  if (frame->length < FRAME_BYTES)
    return error_set(error, VQCT_IMAGE, "the WebP animation's first frame is truncated");
  outline->left = 2 * read_u24(body);
  outline->top = 2 * read_u24(body + 3);
  outline->frame_width = read_u24(body + 6) + 1;
  outline->frame_height = read_u24(body + 9) + 1;
  if (outline->left + outline->frame_width > outline->width ||
      outline->top + outline->frame_height > outline->height)
    return error_set(error, VQCT_IMAGE, "the WebP animation's first frame is not on its canvas");
  for (size_t at = FRAME_BYTES; at < frame->length;) {
    struct chunk chunk;
    enum vqct_status status = next_chunk(body, frame->length, limit, &at, &chunk, error);
    if (status != VQCT_OK || note_pixels(&chunk, outline))
      return status;
  }
  return error_set(error, VQCT_IMAGE, "the WebP animation's first frame has no pixels");
}

/* Some writers put JPEG's mark before the TIFF directory. */
static unsigned orientation_of_exif(const struct chunk *chunk) {
  size_t mark = chunk->length >= 6 && memcmp(chunk->body, "Exif\0\0", 6) == 0 ? 6 : 0;
  return orientation_of_tiff(chunk->body + mark, chunk->length - mark);
}

/* The chunks from byte `at` on, behind VP8X with these flags: the picture or the first frame, and
 * the orientation of the first chunk EXIF. */
static enum vqct_status walk_chunks(const uint8_t *data, size_t size, size_t at, uint32_t limit,
                                    unsigned flags, struct webp_outline *outline,
                                    struct vqct_error *error) {
  bool animation = flags & FLAG_ANIMATION, pixels = false, exif = !(flags & FLAG_EXIF);
  while (at < size) {
    struct chunk chunk;
    enum vqct_status status = next_chunk(data, size, limit, &at, &chunk, error);
    if (status == VQCT_OK && !pixels && animation && is(&chunk, "ANMF")) {
      status = read_frame(&chunk, limit, outline, error);
      pixels = true;
    }
    if (status != VQCT_OK)
      return status;
    if (!pixels && !animation)
      pixels = note_pixels(&chunk, outline);
    if (!exif && is(&chunk, "EXIF")) {
      outline->orientation = orientation_of_exif(&chunk);
      exif = true;
    }
  }
  return pixels ? VQCT_OK : error_set(error, VQCT_IMAGE, "the WebP file has no pixels");
}

/* The simple form: the size stands in the header of the pixels. */
static enum vqct_status read_simple(const struct chunk *chunk, struct webp_outline *outline,
                                    struct vqct_error *error) {
  WebPBitstreamFeatures features;
  if (!note_pixels(chunk, outline))
    return error_set(error, VQCT_IMAGE, "the WebP file begins with a chunk %.4s",
                     (const char *)chunk->type);
  if (WebPGetFeatures(outline->frame.data, outline->frame.size, &features) != VP8_STATUS_OK)
    return error_set(error, VQCT_IMAGE, "the WebP file is damaged or truncated in its header");
  outline->width = outline->frame_width = (uint32_t)features.width;
  outline->height = outline->frame_height = (uint32_t)features.height;
  return VQCT_OK;
}

/* The extended form, whose size is that of its canvas. */
static enum vqct_status read_extended(const uint8_t *data, size_t size, size_t at, uint32_t limit,
                                      const struct chunk *chunk, struct webp_outline *outline,
                                      struct vqct_error *error) {
  if (chunk->length < VP8X_BYTES)
    return error_set(error, VQCT_IMAGE, "the WebP chunk VP8X has %zu bytes", chunk->length);
  outline->width = outline->frame_width = read_u24(chunk->body + 4) + 1;
  outline->height = outline->frame_height = read_u24(chunk->body + 7) + 1;
  return walk_chunks(data, size, at, limit, chunk->body[0], outline, error);
}

enum vqct_status webp_outline_read(const uint8_t *data, size_t size,
                                   const struct vqct_image_limits *limits,
                                   struct webp_outline *outline, struct vqct_error *error) {
  struct chunk first;
  size_t at = RIFF_BYTES, announced = CHUNK_BYTES + (size_t)read_u32(data + 4);
  *outline = (struct webp_outline){.orientation = 1};
  if (announced > size || announced < RIFF_BYTES)
    return error_set(error, VQCT_IMAGE,
                     "the WebP file is truncated: it announces %zu bytes, and there are %zu",
                     announced, size);
  size = announced; /* what comes behind is nobody's business */
  enum vqct_status status = next_chunk(data, size, limits->chunk_bytes, &at, &first, error);
  if (status != VQCT_OK)
    return status;
  return is(&first, "VP8X")
             ? read_extended(data, size, at, limits->chunk_bytes, &first, outline, error)
             : read_simple(&first, outline, error);
}
