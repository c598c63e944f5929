/* Pictures that are not what they say, and the rules that hold without a reference. That pixels are
 * right is tested against Pillow in tests/reference. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>
#include <webp/encode.h>
#include <zlib.h>

#include "codec.h"
#include "rng.h"
#include "vqct/image.h"

static const struct vqct_image_limits DEFAULT_LIMITS = VQCT_IMAGE_LIMITS_DEFAULT;

/* ---- making files ---------------------------------------------------------------------------- */

enum { WIDTH = 40, HEIGHT = 30 };

/* A gradient with some noise; from malloc. */
static struct vqct_image make_picture(uint32_t width, uint32_t height, uint32_t channels) {
  struct vqct_image image;
  struct rng rng;
  rng_seed(&rng, 1, 0);
  ck_assert_int_eq(image_new(width, height, channels, &image, NULL), VQCT_OK);
  for (size_t i = 0; i < (size_t)width * height * channels; i++)
    image.pixels[i] =
        (uint8_t)(i * 200 / ((size_t)width * height * channels) + rng_below(&rng, 40));
  return image;
}

enum jpeg_kind { BASELINE, PROGRESSIVE, RESTARTS, ARITHMETIC };

/* Written by libjpeg itself, because the library under test writes baseline files only. */
static struct vqct_bytes make_jpeg(const struct vqct_image *image, enum jpeg_kind kind) {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char *data = NULL;
  unsigned long size = 0;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_width = image->width;
  jpeg.image_height = image->height;
  jpeg.input_components = (int)image->channels;
  jpeg.in_color_space = image->channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&jpeg);
  if (kind == PROGRESSIVE)
    jpeg_simple_progression(&jpeg);
  if (kind == RESTARTS)
    jpeg.restart_interval = 1;
  jpeg.arith_code = kind == ARITHMETIC;
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = image->pixels + (size_t)jpeg.next_scanline * image->width * image->channels;
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  return (struct vqct_bytes){data, size};
}

static struct vqct_bytes make_png(const struct vqct_image *image) {
  struct vqct_bytes file;
  ck_assert_int_eq(vqct_image_encode_png(image, &file, NULL), VQCT_OK);
  return file;
}

/* Written by libwebp itself, with transparency. */
static struct vqct_bytes make_webp(bool lossless) {
  struct vqct_image picture = make_picture(WIDTH, HEIGHT, 4);
  uint8_t *data = NULL;
  size_t size = lossless ? WebPEncodeLosslessRGBA(picture.pixels, WIDTH, HEIGHT, 4 * WIDTH, &data)
                         : WebPEncodeRGBA(picture.pixels, WIDTH, HEIGHT, 4 * WIDTH, 60, &data);
  ck_assert_uint_gt(size, 0);
  vqct_image_free(&picture);
  return (struct vqct_bytes){data, size};
}

/* A file that grows chunk by chunk. */
struct builder {
  uint8_t data[4096];
  size_t size;
};

static void add(struct builder *file, const void *bytes, size_t size) {
  ck_assert_uint_le(file->size + size, sizeof file->data);
  memcpy(file->data + file->size, bytes, size);
  file->size += size;
}

static void add_u32(struct builder *file, uint32_t number) {
  uint8_t bytes[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                      (uint8_t)number};
  add(file, bytes, sizeof bytes);
}

/* A PNG chunk that says `length`, whatever it holds. */
static void add_chunk(struct builder *file, const char *type, const void *body, size_t size,
                      uint32_t length) {
  add_u32(file, length);
  size_t start = file->size;
  add(file, type, 4);
  if (size)
    add(file, body, size);
  add_u32(file, (uint32_t)crc32(0, file->data + start, (uInt)(file->size - start)));
}

static void begin_png(struct builder *file, uint32_t width, uint32_t height, uint8_t depth,
                      uint8_t colour) {
  struct builder header = {.size = 0};
  *file = (struct builder){.size = 0};
  add(file, "\x89PNG\r\n\x1a\n", 8);
  add_u32(&header, width);
  add_u32(&header, height);
  add(&header, (uint8_t[]){depth, colour, 0, 0, 0}, 5);
  add_chunk(file, "IHDR", header.data, header.size, 13);
}

/* 2 x 2 grey pixels. */
static void add_pixels(struct builder *file) {
  uint8_t rows[6] = {0, 1, 2, 0, 3, 4}, packed[64];
  uLongf size = sizeof packed;
  ck_assert_int_eq(compress(packed, &size, rows, sizeof rows), Z_OK);
  add_chunk(file, "IDAT", packed, size, (uint32_t)size);
}

/* ---- expectations ---------------------------------------------------------------------------- */

/* An error comes with a sentence and an empty picture. The file is copied to a block of its exact
 * size, so that a sanitizer sees a read beyond it. */
static enum vqct_status decode_within(const void *data, size_t size,
                                      const struct vqct_image_limits *limits,
                                      struct vqct_image *image, struct vqct_error *error) {
  uint8_t *copy = malloc(size ? size : 1);
  ck_assert_ptr_nonnull(copy);
  if (size)
    memcpy(copy, data, size);
  *error = (struct vqct_error){.message = ""};
  enum vqct_status status = vqct_image_decode(copy, size, limits, image, error);
  free(copy);
  if (status == VQCT_OK) {
    ck_assert_ptr_nonnull(image->pixels);
    ck_assert_uint_eq(image->channels, 3);
  } else {
    ck_assert_ptr_null(image->pixels);
    ck_assert_uint_eq(image->width + image->height + image->channels, 0);
    ck_assert_int_eq(error->status, status);
    ck_assert_uint_gt(strlen(error->message), 0);
  }
  return status;
}

/* Expects a status, and a text inside the message. */
static void expect(const void *data, size_t size, const struct vqct_image_limits *limits,
                   enum vqct_status expected, const char *text) {
  struct vqct_image image;
  struct vqct_error error;
  enum vqct_status status = decode_within(data, size, limits, &image, &error);
  ck_assert_msg(status == expected, "%s, not %s: %s", vqct_status_name(status),
                vqct_status_name(expected), error.message);
  ck_assert_msg(strstr(error.message, text), "no '%s' in: %s", text, error.message);
  vqct_image_free(&image);
}

/* ---- hostile files --------------------------------------------------------------------------- */

/* A literal and its size without the final 0. */
#define BYTES(text) text, sizeof text - 1

START_TEST(other_files_are_refused) {
  static const struct {
    const char *data;
    size_t size;
    const char *text;
  } files[] = {
      {BYTES(""), "empty"},
      {BYTES("\xff"), "neither PNG, JPEG nor WebP"},
      {BYTES("\xff\xd8"), "neither PNG, JPEG nor WebP"},
      {BYTES("\x89PNG"), "neither PNG, JPEG nor WebP"},
      {BYTES("GIF89a\1\0\1\0"), "GIF is not read here: PNG, JPEG or WebP"},
      {BYTES("<svg xmlns='http://www.w3.org/2000/svg'/>"), "SVG is not read here"},
      {BYTES("\0\0\0\x1c"
             "ftypmif1\0\0\0\0avifmif1miaf"),
       "AVIF is not read here"},
      {BYTES("\0\0\0\x14"
             "ftypheic\0\0\0\0"),
       "HEIC is not read here"},
      {BYTES("\0\0\0\x10"
             "ftypisom\0\0\0\0avif"),
       "MP4 is not read here"}, /* behind the box */
      {BYTES("\0\0\0\x14"
             "ftyp"),
       "MP4 is not read here"},
      {BYTES("BM\x46\0\0\0\0\0\0\0"), "BMP is not read here"},
      {BYTES("BM is a word"), "neither PNG, JPEG nor WebP"},
      {BYTES("\xff\x0a\xfa"), "JPEG XL is not read here"},
      {BYTES("RIFF\0\0\0\0WAVE"), "neither PNG, JPEG nor WebP"},
      {BYTES("RIFF\0\0\0\0WEB"), "neither PNG, JPEG nor WebP"},
      {BYTES("RIFF\0\0\0\0WEBP"), "truncated"},
      {BYTES("RIFF\4\0\0\0WEBP"), "truncated in a chunk"},
      {BYTES("RIFF\xff\xff\xff\xffWEBPVP8 "), "announces 4294967303 bytes"},
      {BYTES("RIFF\x0c\0\0\0WEBPVP8 \xff\xff\xff\xff"), "VP8  at byte 12 has 4294967295"},
      {BYTES("RIFF\x0c\0\0\0WEBPVP8L\0\0\0\0"), "in its header"},
      {BYTES("RIFF\x0c\0\0\0WEBPVP8X\0\0\0\0"), "VP8X has 0 bytes"},
      {BYTES("\x89PNG\r\n\x1a\n"), "truncated"},
      {BYTES("\x89PNG\r\n\x1a\n\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0................"),
       "does not begin with an IHDR"},
      {BYTES("\xff\xd8\xff"), "truncated"},
      {BYTES("\xff\xd8\xff\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "truncated"},
      {BYTES("\xff\xd8\xff\xd9"), "ends before its first scan"},
      {BYTES("\xff\xd8\xff\xda\0\2"), "no frame header"},
      {BYTES("\xff\xd8\xff\xdb\0\1\xff\xd9"), "no valid length"},
      {BYTES("\xff\xd8\xff\xdb\0\0\xff\xd9"), "no valid length"},
      {BYTES("\xff\xd8\xff\xc0\0\7\x8\0\1\0\1\xff\xda\0\2"), "no frame header"}, /* a byte short */
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    expect(files[i].data, files[i].size, &DEFAULT_LIMITS, VQCT_IMAGE, files[i].text);
}
END_TEST

START_TEST(limits_hold_before_memory_is_taken) {
  struct builder file;
  struct vqct_image_limits limits = DEFAULT_LIMITS;
  struct vqct_image_header header;
  begin_png(&file, 60000, 60000, 8, 2);
  expect(file.data, file.size, &limits, VQCT_LIMIT, "60000 x 60000");
  ck_assert_int_eq(vqct_image_probe(file.data, file.size, &limits, &header, NULL), VQCT_LIMIT);
  begin_png(&file, 30000, 30000, 8, 2);
  expect(file.data, file.size, &limits, VQCT_LIMIT, "over the limit of 67108864 pixels");
  begin_png(&file, 0xffffffff, 1, 16, 6);
  expect(file.data, file.size, &limits, VQCT_LIMIT, "over the limit of 32768 a side");
  begin_png(&file, 2, 2, 8, 0);
  add_chunk(&file, "tEXt", "", 0, 100 << 20);
  expect(file.data, file.size, &limits, VQCT_LIMIT, "tEXt at byte 33 has 104857600 bytes");
  limits.bytes = file.size - 1;
  expect(file.data, file.size, &limits, VQCT_LIMIT, "bytes is over the limit");
  /* a JPEG frame of 60,000 x 60,000 */
  static const char frame[] = "\xff\xd8\xff\xc0\0\x0b\x8\xea\x60\xea\x60\1\1\x11\0\xff\xda\0\2";
  expect(frame, sizeof frame - 1, &DEFAULT_LIMITS, VQCT_LIMIT, "60000 x 60000");
  limits = DEFAULT_LIMITS;
  limits.chunk_bytes = 8;
  expect(frame, sizeof frame - 1, &limits, VQCT_LIMIT, "segment FFC0 at byte 2 has 9 bytes");
}
END_TEST

START_TEST(each_limit_lets_through_what_it_names) {
  struct vqct_image picture = make_picture(WIDTH, HEIGHT, 3);
  struct vqct_bytes file = make_png(&picture);
  struct vqct_image_limits exact = {file.size, WIDTH * HEIGHT, WIDTH, 13, 1}, less;
  expect(file.data, file.size, &exact, VQCT_OK, "");
  less = exact;
  less.bytes--;
  expect(file.data, file.size, &less, VQCT_LIMIT, "bytes");
  less = exact;
  less.pixels--;
  expect(file.data, file.size, &less, VQCT_LIMIT, "1199 pixels");
  less = exact;
  less.side--;
  expect(file.data, file.size, &less, VQCT_LIMIT, "39 a side");
  less = exact;
  less.chunk_bytes--;
  expect(file.data, file.size, &less, VQCT_LIMIT, "IHDR");
  free(file.data);
  vqct_image_free(&picture);
}
END_TEST

START_TEST(empty_pictures_are_refused) {
  struct builder file;
  static const uint32_t sizes[][2] = {{0, 0}, {0, 5}, {5, 0}};
  for (size_t i = 0; i < 3; i++) {
    begin_png(&file, sizes[i][0], sizes[i][1], 8, 2);
    expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_IMAGE, "empty");
  }
  static const char no_rows[] = "\xff\xd8\xff\xc0\0\x0b\x8\0\0\0\5\1\1\x11\0\xff\xda\0\2";
  static const char no_columns[] = "\xff\xd8\xff\xc0\0\x0b\x8\0\5\0\0\1\1\x11\0\xff\xda\0\2";
  expect(no_rows, sizeof no_rows - 1, &DEFAULT_LIMITS, VQCT_IMAGE, "empty");
  expect(no_columns, sizeof no_columns - 1, &DEFAULT_LIMITS, VQCT_IMAGE, "empty");
}
END_TEST

START_TEST(damaged_png_files_are_refused) {
  struct builder file;
  begin_png(&file, 2, 2, 8, 0); /* the sound one */
  add_pixels(&file);
  add_chunk(&file, "IEND", "", 0, 0);
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_OK, "");
  add(&file, "whatever", 8);
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_OK, "");
  file.data[12 + 8 + 13 + 20] ^= 1; /* inside IDAT */
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_IMAGE, "PNG: ");
  begin_png(&file, 2, 2, 8, 0);
  add_pixels(&file);
  file.data[file.size - 1] ^= 1; /* the checksum of the last pixels */
  add_chunk(&file, "IEND", "", 0, 0);
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_IMAGE, "PNG: ");
  begin_png(&file, 2, 2, 8, 0);
  add_chunk(&file, "IEND", "", 0, 0);
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_IMAGE, "PNG: ");
  begin_png(&file, 2, 3, 8, 0); /* a row is missing */
  add_pixels(&file);
  add_chunk(&file, "IEND", "", 0, 0);
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_IMAGE, "PNG: ");
  begin_png(&file, 2, 2, 8, 3); /* no palette */
  add_pixels(&file);
  add_chunk(&file, "IEND", "", 0, 0);
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_IMAGE, "PNG: ");
  begin_png(&file, 2, 2, 8, 0);
  add_chunk(&file, "IDAT", "not zlib", 8, 8);
  add_chunk(&file, "IEND", "", 0, 0);
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_IMAGE, "PNG: ");
  begin_png(&file, 2, 2, 8, 0);
  add_chunk(&file, "ID\0T", "", 0, 0);
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_IMAGE, "byte 33 has no valid type");
  begin_png(&file, 2, 2, 8, 0);
  add_chunk(&file, "IDAT", "", 0, 0xffffffff);
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_IMAGE, "IDAT at byte 33 has 4294967295");
}
END_TEST

START_TEST(impossible_png_headers_are_refused) {
  static const uint8_t kinds[][2] = {{0, 0}, {3, 0},  {16, 3}, {4, 2}, {8, 1},
                                     {8, 5}, {32, 2}, {8, 7},  {2, 6}, {255, 255}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    struct builder file;
    begin_png(&file, 2, 2, kinds[i][0], kinds[i][1]);
    add_pixels(&file);
    add_chunk(&file, "IEND", "", 0, 0);
    expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_IMAGE, "PNG: ");
  }
}
END_TEST

static void expect_every_prefix_refused(struct vqct_bytes file) {
  expect(file.data, file.size, &DEFAULT_LIMITS, VQCT_OK, "");
  for (size_t size = 0; size < file.size; size++)
    expect(file.data, size, &DEFAULT_LIMITS, VQCT_IMAGE, "");
  free(file.data);
}

START_TEST(truncated_files_are_refused) {
  struct vqct_image colour = make_picture(WIDTH, HEIGHT, 3), grey = make_picture(WIDTH, HEIGHT, 1);
  for (enum jpeg_kind kind = BASELINE; kind <= ARITHMETIC; kind++) {
    expect_every_prefix_refused(make_jpeg(&colour, kind));
    expect_every_prefix_refused(make_jpeg(&grey, kind));
  }
  expect_every_prefix_refused(make_webp(false));
  expect_every_prefix_refused(make_webp(true));
  expect_every_prefix_refused(make_png(&colour));
  expect_every_prefix_refused(make_png(&grey));
  vqct_image_free(&colour);
  vqct_image_free(&grey);
}
END_TEST

START_TEST(a_jpeg_that_ends_too_early_is_refused) {
  struct vqct_image picture = make_picture(WIDTH, HEIGHT, 3);
  struct vqct_bytes file = make_jpeg(&picture, BASELINE);
  for (size_t size = file.size - 200; size < file.size - 2; size++) {
    struct builder cut = {.size = 0};
    add(&cut, file.data, size);
    add(&cut, "\xff\xd9", 2); /* the end that a repair tool would write */
    expect(cut.data, cut.size, &DEFAULT_LIMITS, VQCT_IMAGE, "JPEG: ");
  }
  free(file.data);
  vqct_image_free(&picture);
}
END_TEST

/* Random damage gives a picture of the right form or an error, and with a sanitizer nothing else
 * happens either. */
static void damage(struct vqct_bytes file, uint64_t seed) {
  struct rng rng;
  struct vqct_image_limits limits = {1 << 20, 1 << 16, 4096, 1 << 16, 20};
  rng_seed(&rng, seed, 0);
  uint8_t *copy = malloc(file.size);
  ck_assert_ptr_nonnull(copy);
  for (int round = 0; round < 400; round++) {
    struct vqct_image image;
    struct vqct_error error;
    memcpy(copy, file.data, file.size);
    for (uint64_t i = rng_below(&rng, 4) + 1; i > 0; i--)
      copy[rng_below(&rng, file.size)] = (uint8_t)rng_bits(&rng);
    enum vqct_status status = decode_within(copy, file.size, &limits, &image, &error);
    ck_assert_msg(status == VQCT_OK || status == VQCT_IMAGE || status == VQCT_LIMIT, "%s",
                  error.message);
    vqct_image_free(&image);
  }
  free(copy);
  free(file.data);
}

START_TEST(damage_gives_a_picture_or_an_error) {
  struct vqct_image picture = make_picture(WIDTH, HEIGHT, 3);
  for (enum jpeg_kind kind = BASELINE; kind <= ARITHMETIC; kind++)
    damage(make_jpeg(&picture, kind), kind);
  damage(make_png(&picture), 100);
  damage(make_webp(false), 101);
  damage(make_webp(true), 102);
  vqct_image_free(&picture);
}
END_TEST

/* ---- JPEG ------------------------------------------------------------------------------------ */

START_TEST(scans_are_limited) {
  struct vqct_image picture = make_picture(WIDTH, HEIGHT, 3);
  struct vqct_bytes file = make_jpeg(&picture, PROGRESSIVE); /* libjpeg's script has 10 scans */
  struct vqct_image_limits limits = DEFAULT_LIMITS;
  limits.scans = 10;
  expect(file.data, file.size, &limits, VQCT_OK, "");
  limits.scans = 9;
  expect(file.data, file.size, &limits, VQCT_LIMIT, "more scans than the limit of 9");
  free(file.data);
  vqct_image_free(&picture);
}
END_TEST

START_TEST(restart_markers_change_nothing) {
  struct vqct_image picture = make_picture(WIDTH, HEIGHT, 3), plain, restarted;
  struct vqct_bytes files[2] = {make_jpeg(&picture, BASELINE), make_jpeg(&picture, RESTARTS)};
  struct vqct_error error;
  ck_assert_int_eq(decode_within(files[0].data, files[0].size, &DEFAULT_LIMITS, &plain, &error),
                   VQCT_OK);
  ck_assert_int_eq(decode_within(files[1].data, files[1].size, &DEFAULT_LIMITS, &restarted, &error),
                   VQCT_OK);
  ck_assert_mem_eq(plain.pixels, restarted.pixels, WIDTH * HEIGHT * 3);
  uint8_t *marker = files[1].data + files[1].size - 2; /* find the last one and make it another */
  while (!(marker[0] == 0xff && marker[1] >= 0xd0 && marker[1] <= 0xd7))
    marker--;
  marker[1] = (uint8_t)(0xd0 | ((marker[1] + 3) & 7));
  expect(files[1].data, files[1].size, &DEFAULT_LIMITS, VQCT_IMAGE, "JPEG: ");
  for (int i = 0; i < 2; i++)
    free(files[i].data);
  vqct_image_free(&picture);
  vqct_image_free(&plain);
  vqct_image_free(&restarted);
}
END_TEST

START_TEST(padding_between_segments_is_skipped) {
  struct vqct_image picture = make_picture(WIDTH, HEIGHT, 1);
  struct vqct_bytes file = make_jpeg(&picture, BASELINE);
  struct builder padded = {.size = 0};
  add(&padded, file.data, 2);
  size_t first = 2 + ((size_t)file.data[4] << 8) + file.data[5] + 2;
  add(&padded, file.data + 2, first - 2);
  add(&padded, "\0\0\xff\0\x37\xff\xff", 7); /* zeros, a stuffed byte, junk, fill bytes */
  add(&padded, file.data + first, file.size - first);
  expect(padded.data, padded.size, &DEFAULT_LIMITS, VQCT_OK, "");
  free(file.data);
  vqct_image_free(&picture);
}
END_TEST

START_TEST(exif_that_is_damaged_means_upright) {
#define TAG "\x01\x12\0\3\0\0\0\1" /* orientation, SHORT, one */
  static const struct {
    const char *tiff;
    size_t size;
    unsigned orientation;
  } cases[] = {
      {BYTES("MM\0*\0\0\0\x8\0\1" TAG "\0\6\0\0"), 6},
      {BYTES("II*\0\x8\0\0\0\1\0\x12\x01\3\0\1\0\0\0\6\0\0\0"), 6},
      {BYTES("MM\0*\0\0\0\x8\xff\xff" TAG "\0\3\0\0"), 3}, /* more entries than there are bytes */
      {BYTES("MM\0*\0\0\0\x8\0\1" TAG "\0\0\0\0"), 1},
      {BYTES("MM\0*\0\0\0\x8\0\1" TAG "\0\x9\0\0"), 1},
      {BYTES("MM\0*\0\0\0\x8\0\1" TAG "\xff\xff\0\0"), 1},
      {BYTES("MM\0*\0\0\0\x8\0\1\x01\x12\0\4\0\0\0\1\0\6\0\0"), 1}, /* LONG */
      {BYTES("MM\0*\0\0\0\x8\0\1\x01\x12\0\3\0\0\0\2\0\6\0\0"), 1}, /* two */
      {BYTES("MM\0*\0\0\0\x8\0\0" TAG "\0\6\0\0"), 1},              /* no entries */
      {BYTES("MM\0*\0\0\0\x8\0\1" TAG "\0\6\0"), 1},                /* the entry is cut */
      {BYTES("MM\0*\0\0\0\x8\0"), 1},
      {BYTES("MM\0*\0\0\0\x8"), 1},
      {BYTES("MM\0*\0\0\0"), 1},
      {BYTES(""), 1},
      {BYTES("MM\0*\0\0\0\x9\0\1" TAG "\0\6\0\0"), 1},        /* a directory at the wrong place */
      {BYTES("MM\0*\0\0\0\x15\0\1" TAG "\0\6\0\0"), 1},       /* its count is cut */
      {BYTES("MM\0*\xff\xff\xff\xff\0\1" TAG "\0\6\0\0"), 1}, /* far outside */
      {BYTES("II\0*\x8\0\0\0\1\0\x12\x01\3\0\1\0\0\0\6\0\0\0"), 1}, /* mixed byte orders */
      {BYTES("XX\0*\0\0\0\x8\0\1" TAG "\0\6\0\0"), 1},
  };
#undef TAG
  struct vqct_image picture = make_picture(WIDTH, HEIGHT, 1);
  struct vqct_bytes jpeg = make_jpeg(&picture, BASELINE);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct builder file = {.size = 0};
    struct vqct_image image;
    struct vqct_error error;
    size_t length = 2 + 6 + cases[i].size;
    add(&file, jpeg.data, 2);
    add(&file, (uint8_t[]){0xff, 0xe1, (uint8_t)(length >> 8), (uint8_t)length}, 4);
    add(&file, "Exif\0", 6);
    add(&file, cases[i].tiff, cases[i].size);
    add(&file, jpeg.data + 2, jpeg.size - 2);
    ck_assert_int_eq(decode_within(file.data, file.size, &DEFAULT_LIMITS, &image, &error), VQCT_OK);
    struct jpeg_segments segments;
    ck_assert_int_eq(jpeg_segments_read(file.data, file.size, &DEFAULT_LIMITS, &segments, &error),
                     VQCT_OK);
    ck_assert_msg(segments.orientation == cases[i].orientation, "case %zu: %u", i,
                  segments.orientation);
    ck_assert_uint_eq(image.width, cases[i].orientation >= 5 ? HEIGHT : WIDTH);
    vqct_image_free(&image);
  }
  free(jpeg.data);
  vqct_image_free(&picture);
}
END_TEST

/* ---- encoding, shapes, metrics --------------------------------------------------------------- */

START_TEST(what_cannot_be_encoded_is_refused) {
  struct vqct_image picture = make_picture(4, 4, 3), odd;
  struct vqct_bytes file;
  static const int qualities[] = {-1, 0, 101};
  for (size_t i = 0; i < 3; i++) {
    ck_assert_int_eq(vqct_image_encode_jpeg(&picture, qualities[i], &file, NULL), VQCT_INVALID);
    ck_assert_int_eq(vqct_image_encode_webp(&picture, qualities[i], &file, NULL), VQCT_INVALID);
    ck_assert_ptr_null(file.data);
  }
  static const uint32_t shapes[][3] = {{0, 4, 3}, {4, 0, 3}, {4, 4, 0},
                                       {4, 4, 2}, {4, 4, 4}, {65501, 1, 3}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    odd = (struct vqct_image){picture.pixels, shapes[i][0], shapes[i][1], shapes[i][2]};
    ck_assert_int_eq(vqct_image_encode_png(&odd, &file, NULL), VQCT_INVALID);
    ck_assert_int_eq(vqct_image_encode_jpeg(&odd, 90, &file, NULL), VQCT_INVALID);
    ck_assert_int_eq(vqct_image_encode_webp(&odd, 90, &file, NULL), VQCT_INVALID);
    ck_assert_int_eq(vqct_image_encode_webp_lossless(&odd, &file, NULL), VQCT_INVALID);
    ck_assert_ptr_null(file.data);
  }
  odd = (struct vqct_image){NULL, 4, 4, 3};
  ck_assert_int_eq(vqct_image_encode_png(&odd, &file, NULL), VQCT_INVALID);
  vqct_image_free(&picture);
}
END_TEST

START_TEST(impossible_targets_are_refused) {
  struct vqct_image picture = make_picture(4, 4, 3), result;
  static const struct {
    uint32_t channels, width, height;
  } cases[] = {{3, 0, 4}, {3, 4, 0}, {3, 65536, 4}, {3, 4, UINT32_MAX}, {2, 4, 4}, {4, 4, 4}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct vqct_image odd = {picture.pixels, 2, 2, cases[i].channels};
    for (enum vqct_resize mode = VQCT_RESIZE_COVER; mode <= VQCT_RESIZE_CONTAIN; mode++) {
      ck_assert_int_eq(
          vqct_image_resize(&odd, mode, cases[i].width, cases[i].height, &result, NULL),
          VQCT_INVALID);
      ck_assert_ptr_null(result.pixels);
    }
  }
  struct vqct_image none = {0};
  ck_assert_int_eq(vqct_image_resize(&none, VQCT_RESIZE_NONE, 0, 0, &result, NULL), VQCT_INVALID);
  ck_assert_int_eq(image_new(UINT32_MAX, UINT32_MAX, 3, &result, NULL), VQCT_MEMORY);
  ck_assert_ptr_null(result.pixels);
  vqct_image_free(&picture);
}
END_TEST

START_TEST(thin_pictures_keep_a_pixel) {
  struct vqct_image thin = make_picture(1, 1000, 1), result;
  ck_assert_int_eq(vqct_image_resize(&thin, VQCT_RESIZE_CONTAIN, 64, 64, &result, NULL), VQCT_OK);
  ck_assert_uint_eq(result.width, 1);
  ck_assert_uint_eq(result.height, 64);
  vqct_image_free(&result);
  thin.width = 1000;
  thin.height = 1;
  ck_assert_int_eq(vqct_image_resize(&thin, VQCT_RESIZE_CONTAIN, 64, 64, &result, NULL), VQCT_OK);
  ck_assert_uint_eq(result.width, 64);
  ck_assert_uint_eq(result.height, 1);
  vqct_image_free(&result);
  vqct_image_free(&thin);
}
END_TEST

START_TEST(one_colour_stays_one_colour) {
  static const uint32_t sides[] = {1, 2, 3, 5, 10, 11, 31, 64, 257, 700};
  enum { SIDES = sizeof sides / sizeof *sides };
  for (size_t i = 0; i < SIDES * SIDES * 2; i++) {
    uint32_t channels = i % 2 ? 3 : 1;
    uint32_t from = sides[i / 2 % SIDES], to = sides[i / 2 / SIDES], other = 1 + (from + to) % 50;
    struct vqct_image picture, result;
    ck_assert_int_eq(image_new(from, other, channels, &picture, NULL), VQCT_OK);
    memset(picture.pixels, 201, (size_t)from * other * channels);
    ck_assert_int_eq(vqct_image_resize(&picture, VQCT_RESIZE_COVER, to, to, &result, NULL),
                     VQCT_OK);
    size_t wrong = 0;
    for (size_t j = 0; j < (size_t)to * to * channels; j++)
      wrong += result.pixels[j] != 201;
    ck_assert_msg(wrong == 0, "%u x %u to %u: %zu", from, other, to, wrong);
    vqct_image_free(&result);
    vqct_image_free(&picture);
  }
}
END_TEST

START_TEST(left_alone_is_a_copy) {
  struct vqct_image picture = make_picture(7, 5, 3), result;
  ck_assert_int_eq(vqct_image_resize(&picture, VQCT_RESIZE_NONE, 0, 0, &result, NULL), VQCT_OK);
  ck_assert_ptr_ne(result.pixels, picture.pixels);
  ck_assert_uint_eq(result.width, 7);
  ck_assert_uint_eq(result.height, 5);
  ck_assert_mem_eq(result.pixels, picture.pixels, 7 * 5 * 3);
  vqct_image_free(&result);
  vqct_image_free(&picture);
}
END_TEST

START_TEST(crop_is_central) {
  static const struct {
    uint32_t width, height, factor, left, top, new_width, new_height; /* new_width 0: refused */
  } cases[] = {{33, 50, 16, 0, 1, 32, 48}, {47, 16, 16, 7, 0, 32, 16}, {16, 16, 16, 0, 0, 16, 16},
               {19, 22, 8, 1, 3, 16, 16},  {15, 16, 16, 0, 0, 0, 0},   {16, 15, 16, 0, 0, 0, 0},
               {5, 9, 1, 0, 0, 5, 9},      {16, 16, 0, 0, 0, 0, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct vqct_image picture = make_picture(cases[i].width, cases[i].height, 3), result;
    enum vqct_status status = vqct_image_crop_to_multiple(&picture, cases[i].factor, &result, NULL);
    ck_assert_int_eq(status, cases[i].new_width ? VQCT_OK : VQCT_INVALID);
    ck_assert_uint_eq(result.width, cases[i].new_width);
    ck_assert_uint_eq(result.height, cases[i].new_height);
    for (size_t y = 0; y < result.height; y++)
      ck_assert_mem_eq(result.pixels + y * result.width * 3,
                       picture.pixels + ((cases[i].top + y) * picture.width + cases[i].left) * 3,
                       result.width * 3);
    vqct_image_free(&result);
    vqct_image_free(&picture);
  }
}
END_TEST

/* Whether large pages are asked for where an address is, by the kernel's list of mappings. */
static bool asks_large_pages(const void *address) {
  FILE *maps = fopen("/proc/self/smaps", "r");
  char line[512];
  unsigned long begin, end;
  bool inside = false, asked = false;
  ck_assert_ptr_nonnull(maps);
  while (fgets(line, sizeof line, maps)) {
    if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
      inside = begin <= (uintptr_t)address && (uintptr_t)address < end;
    if (inside && !strncmp(line, "VmFlags:", 8))
      asked = strstr(line, " hg");
  }
  fclose(maps);
  return asked;
}

START_TEST(a_large_picture_lies_in_large_pages) {
  struct vqct_image image;
  if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0)
    return;
  ck_assert_int_eq(image_new(4000, 3000, 3, &image, NULL), VQCT_OK);
  ck_assert(asks_large_pages(image.pixels + ((size_t)16 << 20)));
  vqct_image_free(&image);
}
END_TEST

START_TEST(metrics_of_known_pairs) {
  struct vqct_image a = make_picture(16, 12, 3), b = make_picture(16, 12, 3);
  double value;
  ck_assert_int_eq(vqct_image_psnr(&a, &b, &value, NULL), VQCT_OK);
  ck_assert(isinf(value) && value > 0);
  ck_assert_int_eq(vqct_image_ssim(&a, &b, &value, NULL), VQCT_OK);
  ck_assert_double_eq_tol(value, 1, 1e-12);
  for (size_t i = 0; i < 16 * 12 * 3; i++)
    b.pixels[i]++;
  ck_assert_int_eq(vqct_image_psnr(&a, &b, &value, NULL), VQCT_OK);
  ck_assert_double_eq_tol(value, 20 * log10(255), 1e-12);
  struct vqct_image grey = {b.pixels, 16, 12, 1}, small = {b.pixels, 10, 12, 3}, none = {0};
  ck_assert_int_eq(vqct_image_psnr(&a, &grey, &value, NULL), VQCT_INVALID);
  ck_assert_int_eq(vqct_image_ssim(&a, &grey, &value, NULL), VQCT_INVALID);
  ck_assert_int_eq(vqct_image_ssim(&small, &small, &value, NULL), VQCT_INVALID);
  ck_assert_int_eq(vqct_image_psnr(&none, &none, &value, NULL), VQCT_INVALID);
  vqct_image_free(&a);
  vqct_image_free(&b);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("image");
  TCase *hostile = tcase_create("hostile"), *rules = tcase_create("rules");
  tcase_set_timeout(hostile, 120);
  tcase_add_test(hostile, other_files_are_refused);
  tcase_add_test(hostile, limits_hold_before_memory_is_taken);
  tcase_add_test(hostile, each_limit_lets_through_what_it_names);
  tcase_add_test(hostile, empty_pictures_are_refused);
  tcase_add_test(hostile, damaged_png_files_are_refused);
  tcase_add_test(hostile, impossible_png_headers_are_refused);
  tcase_add_test(hostile, truncated_files_are_refused);
  tcase_add_test(hostile, a_jpeg_that_ends_too_early_is_refused);
  tcase_add_test(hostile, damage_gives_a_picture_or_an_error);
  tcase_add_test(hostile, scans_are_limited);
  tcase_add_test(hostile, exif_that_is_damaged_means_upright);
  tcase_add_test(rules, restart_markers_change_nothing);
  tcase_add_test(rules, padding_between_segments_is_skipped);
  tcase_add_test(rules, what_cannot_be_encoded_is_refused);
  tcase_add_test(rules, impossible_targets_are_refused);
  tcase_add_test(rules, thin_pictures_keep_a_pixel);
  tcase_add_test(rules, one_colour_stays_one_colour);
  tcase_add_test(rules, left_alone_is_a_copy);
  tcase_add_test(rules, crop_is_central);
  tcase_add_test(rules, a_large_picture_lies_in_large_pages);
  tcase_add_test(rules, metrics_of_known_pairs);
  suite_add_tcase(suite, hostile);
  suite_add_tcase(suite, rules);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
