/* Signatures at the beginning of files. */
#include "format.h"

#include <stdbool.h>
#include <string.h>

static bool has(const uint8_t *data, size_t size, size_t at, const void *bytes, size_t count) {
  return size >= count && at <= size - count && memcmp(data + at, bytes, count) == 0;
}

#define HAS(data, size, at, text) has(data, size, at, text, sizeof text - 1)

enum vqct_image_format format_of(const uint8_t *data, size_t size) {
  if (HAS(data, size, 0, "\x89PNG\r\n\x1a\n"))
    return VQCT_IMAGE_PNG;
  if (HAS(data, size, 0, "\xff\xd8\xff"))
    return VQCT_IMAGE_JPEG;
  if (HAS(data, size, 0, "RIFF") && HAS(data, size, 8, "WEBP"))
    return VQCT_IMAGE_WEBP;
  return VQCT_IMAGE_UNKNOWN;
}

/* The ISO base media file format: a box that names the main brand, a version, and other brands. */
static const char *media_name(const uint8_t *data, size_t size) {
  static const struct {
    const char *brand, *name;
  } brands[] = {{"avif", "AVIF"}, {"avis", "AVIF"},
                {"heic", "HEIC"}, {"heix", "HEIC"},
                {"heim", "HEIC"}, {"heis", "HEIC"},
                {"hevc", "HEIC"}, {"hevx", "HEIC"},
                {"crx ", "CR3"},  {"qt  ", "a film in QuickTime's format"}};
  enum { BOX_BYTES = 8, BRAND_BYTES = 4, BRANDS_MAX = 32 };
  if (!HAS(data, size, 4, "ftyp"))
    return NULL;
  size_t end = BOX_BYTES + BRANDS_MAX * BRAND_BYTES;
  if (data[0] == 0 && data[1] == 0 && data[2] == 0 && data[3] < end)
    end = data[3];
  for (size_t at = BOX_BYTES; at < end; at += BRAND_BYTES)
    for (size_t i = 0; i < sizeof brands / sizeof *brands; i++)
      if (has(data, size, at, brands[i].brand, BRAND_BYTES))
        return brands[i].name;
  return "MP4";
}

const char *format_unread(const uint8_t *data, size_t size) {
#define SIGNATURE(bytes, name)                                                                     \
  { bytes, sizeof bytes - 1, name }
  static const struct {
    const char *bytes;
    size_t count;
    const char *name;
  } signatures[] = {
      SIGNATURE("GIF8", "GIF"),
      SIGNATURE("II*\0", "TIFF"),
      SIGNATURE("MM\0*", "TIFF"),
      SIGNATURE("II+\0", "TIFF"),
      SIGNATURE("MM\0+", "TIFF"),
      SIGNATURE("\xff\x0a", "JPEG XL"),
      SIGNATURE("\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
      SIGNATURE("\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
      SIGNATURE("\xff\x4f\xff\x51", "JPEG 2000"),
      SIGNATURE("8BPS", "PSD"),
      SIGNATURE("\0\0\1\0", "ICO"),
      SIGNATURE("qoif", "QOI"),
      SIGNATURE("%PDF-", "PDF"),
      SIGNATURE("<svg", "SVG"),
      SIGNATURE("<?xml", "XML"),
      SIGNATURE("<!DOCTYPE", "HTML"),
      SIGNATURE("<!doctype", "HTML"),
      SIGNATURE("<html", "HTML"),
      SIGNATURE("P3\n", "PPM"),
      SIGNATURE("P5\n", "PGM"),
      SIGNATURE("P6\n", "PPM"),
  };
#undef SIGNATURE
  for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
    if (has(data, size, 0, signatures[i].bytes, signatures[i].count))
      return signatures[i].name;
  if (HAS(data, size, 0, "BM") && HAS(data, size, 6, "\0\0\0\0")) /* which are reserved */
    return "BMP";
  return media_name(data, size);
}
