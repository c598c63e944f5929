/* The segments in front of a JPEG file's first scan: the size, and the orientation that a camera
 * wrote as EXIF (a TIFF directory inside segment APP1). Every offset is compared with the bytes
 * that are there before it is followed. */
#include <inttypes.h>
#include <string.h>

#include "codec.h"
#include "error.h"

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
  MARKER_APP1 = 0xe1
};

/* ---- EXIF ------------------------------------------------------------------------------------ */

struct tiff {
  const uint8_t *data;
  size_t size;
  bool big_endian;
};

/* bytes (2 or 4) at `at`, which the caller has checked. */
static uint32_t tiff_number(const struct tiff *tiff, size_t at, unsigned bytes) {
  uint32_t number = 0;
  for (unsigned i = 0; i < bytes; i++)
    number = number << 8 | tiff->data[at + (tiff->big_endian ? i : bytes - 1 - i)];
  return number;
}

/* The orientation in a TIFF file's first directory; 1 where there is none or it is damaged, because
 * damaged metadata does not damage the picture. */
static unsigned tiff_orientation(const uint8_t *data, size_t size) {
  enum { ENTRY_BYTES = 12, TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3 };
  struct tiff tiff = {data, size, false};
  if (size < 8 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
    return 1;
  tiff.big_endian = data[0] == 'M';
  size_t at = tiff_number(&tiff, 4, 4);
  if (at > size - 2)
    return 1;
  size_t entries = tiff_number(&tiff, at, 2);
  at += 2;
  for (size_t i = 0; i < entries && size - at >= ENTRY_BYTES; i++, at += ENTRY_BYTES) {
    if (tiff_number(&tiff, at, 2) != TAG_ORIENTATION)
      continue;
    unsigned value = tiff_number(&tiff, at + 8, 2);
    bool valid = tiff_number(&tiff, at + 2, 2) == TYPE_SHORT &&
                 tiff_number(&tiff, at + 4, 4) == 1 && value >= 1 && value <= 8;
    return valid ? value : 1;
  }
  return 1;
}

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
      segments->orientation = tiff_orientation(segment.body + 6, segment.length - 6);
      exif = true;
    }
  }
  if (!frame)
    return error_set(error, VQCT_IMAGE, "the JPEG file has no frame header before its first scan");
  return VQCT_OK;
}
