/* The segments in front of a JPEG file's first scan: the size, and the orientation that a camera
 * wrote as EXIF inside segment APP1. Every offset is compared with the bytes that are there before
 * it is followed. */
#include <inttypes.h>
#include <string.h>

#include "codec.h"
#include "error.h"
#include "orientation.h"

enum marker {
  MARKER_TEM = 0x01,
  MARKER_SOF0 = 0xc0,
  MARKER_DHT = 0xc4,
  MARKER_JPG = 0xc8,
  MARKER_DAC = 0xcc,
  MARKER_SOF15 = 0xcf,
  MARKER_RST0 = 0xd0,
  MARKER_SOI = 0xd8,
  MARKER_EOI = 0xd9,
  MARKER_SOS = 0xda,
  MARKER_APP0 = 0xe0,
  MARKER_APP1 = 0xe1,
  MARKER_APP15 = 0xef,
  MARKER_COM = 0xfe
};

static bool is_exif(const uint8_t *body, size_t length) {
  return length >= 6 && memcmp(body, "Exif\0\0", 6) == 0;
}

/* ---- segments -------------------------------------------------------------------------------- */

struct segment {
  unsigned marker;
  const uint8_t *body;
  size_t length;
};

/* Start-of-frame segments are 0xC0 to 0xCF but for three numbers that mean something else. */
static bool is_frame(unsigned marker) {
  return marker >= MARKER_SOF0 && marker <= MARKER_SOF15 && marker != MARKER_DHT &&
         marker != MARKER_JPG && marker != MARKER_DAC;
}

/* Markers that stand alone; 0 is not one, but a stuffed byte among the garbage that is skipped. */
static bool has_no_body(unsigned marker) {
  return marker == 0 || marker == MARKER_TEM || (marker >= MARKER_RST0 && marker <= MARKER_SOI);
}

/* Comments and application data, which no pixel depends on. */
static bool is_skipped(unsigned marker) {
  return marker == MARKER_COM || (marker >= MARKER_APP0 && marker <= MARKER_APP15);
}

static enum vqct_status truncated(size_t size, struct vqct_error *error) {
  return error_set(error, VQCT_IMAGE, "the JPEG file is truncated in its header (%zu bytes)", size);
}

/* The segment at or after *at, and *at moved behind it. Bytes between segments are skipped, as
 * libjpeg does: cameras pad with them. */
static enum vqct_status next_segment(const uint8_t *data, size_t size, uint32_t limit, size_t *at,
                                     struct segment *segment, struct vqct_error *error) {
  size_t i = *at;
  do {
    while (i < size && data[i] != 0xff)
      i++;
    while (i < size && data[i] == 0xff)
      i++;
    if (i == size)
      return truncated(size, error);
    segment->marker = data[i++];
  } while (has_no_body(segment->marker));
  if (segment->marker == MARKER_EOI)
    return error_set(error, VQCT_IMAGE, "the JPEG file ends before its first scan");
  if (size - i < 2)
    return truncated(size, error);
  size_t length = (size_t)data[i] << 8 | data[i + 1];
  if (length < 2 && is_skipped(segment->marker))
    length = 2; /* as libjpeg reads it: nothing but the length itself */
  if (length < 2)
    return error_set(error, VQCT_IMAGE, "the JPEG segment FF%02X at byte %zu has no valid length",
                     segment->marker, i - 2);
  if (length - 2 > limit)
    return error_set(
        error, VQCT_LIMIT,
        "the JPEG segment FF%02X at byte %zu has %zu bytes, over the limit of %" PRIu32,
        segment->marker, i - 2, length - 2, limit);
  if (length > size - i)
    return truncated(size, error);
  segment->body = data + i + 2;
  segment->length = length - 2;
  *at = i + length;
  return VQCT_OK;
}

enum vqct_status jpeg_segments_read(const uint8_t *data, size_t size,
                                    const struct vqct_image_limits *limits,
                                    struct jpeg_segments *segments, struct vqct_error *error) {
  struct segment segment = {0};
  bool frame = false, exif = false;
  size_t at = 2;
  *segments = (struct jpeg_segments){.orientation = 1};
  for (;;) {
    enum vqct_status status = next_segment(data, size, limits->chunk_bytes, &at, &segment, error);
    if (status != VQCT_OK)
      return status;
    if (segment.marker == MARKER_SOS)
      break;
    if (is_frame(segment.marker) && segment.length >= 6) {
      segments->height = (uint32_t)segment.body[1] << 8 | segment.body[2];
      segments->width = (uint32_t)segment.body[3] << 8 | segment.body[4];
      frame = true;
    } else if (segment.marker == MARKER_APP1 && !exif && is_exif(segment.body, segment.length)) {
      segments->orientation = orientation_of_tiff(segment.body + 6, segment.length - 6);
      exif = true;
    }
  }
  if (!frame)
    return error_set(error, VQCT_IMAGE, "the JPEG file has no frame header before its first scan");
  return VQCT_OK;
}
