/* Whatever bytes arrive as the pixels or the transparency of a WebP file: what libwebp decodes, we
 * decode to the same pixels, and what we refuse, it refuses, but for the limits. The containers are
 * made here, so that most of the bytes get as far as the codes; or the bytes are what libwebp
 * encodes, and some damage to that, so that all kinds of codes are met. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/encode.h>

#include "vqct/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIDE = 48, FILE_MAX = 1 << 17 };

static void demand(bool condition) {
  if (!condition)
    abort();
}

struct file {
  uint8_t bytes[FILE_MAX];
  size_t size;
};

static void add(struct file *file, const void *bytes, size_t size) {
  demand(size <= FILE_MAX - file->size);
  if (size)
    memcpy(file->bytes + file->size, bytes, size);
  file->size += size;
}

static void add_u32(struct file *file, size_t number) {
  const uint8_t bytes[4] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16),
                            (uint8_t)(number >> 24)};
  add(file, bytes, sizeof bytes);
}

/* A chunk of two pieces and even length: libwebp would read the byte that pads an odd one. */
static void add_chunk(struct file *file, const char *type, const void *first, size_t first_size,
                      const uint8_t *rest, size_t rest_size) {
  add(file, type, 4);
  add_u32(file, first_size + rest_size);
  add(file, first, first_size);
  add(file, rest, rest_size);
}

static void begin(struct file *file) {
  file->size = 0;
  add(file, "RIFF\0\0\0\0WEBP", 12);
}

static void end(struct file *file) {
  struct file size = {.size = 0};
  add_u32(&size, file->size - 8);
  memcpy(file->bytes + 4, size.bytes, 4);
}

static void make_lossless(struct file *file, const uint8_t *data, size_t size) {
  static const uint8_t header[5] = {0x2f, (SIDE - 1) & 255, (SIDE - 1) << 6 & 255,
                                    (SIDE - 1) >> 2 & 255, 0x10};
  begin(file);
  add_chunk(file, "VP8L", header, sizeof header, data, size);
  end(file);
}

/* A lossy picture of one colour, without its container. */
static void make_transparent(struct file *file, const uint8_t *data, size_t size) {
  static uint8_t grey[SIDE * SIDE * 3], *lossy;
  static size_t lossy_size;
  static const uint8_t canvas[10] = {0x10, 0, 0, 0, SIDE - 1, 0, 0, SIDE - 1, 0, 0};
  if (!lossy)
    lossy_size = WebPEncodeRGB(grey, SIDE, SIDE, 3 * SIDE, 50, &lossy);
  demand(lossy_size > 12);
  begin(file);
  add_chunk(file, "VP8X", canvas, sizeof canvas, NULL, 0);
  add_chunk(file, "ALPH", data, size, NULL, 0);
  add(file, lossy + 12, lossy_size - 12);
  end(file);
}

/* What libwebp makes of pixels, which repeat, with up to 4 of its bytes replaced. */
static void make_damaged(struct file *file, const uint8_t *data, size_t size) {
  enum { HEAD = 16, DAMAGES = 4, VP8L_AT = 20, VP8L_HEADER = 5 };
  static uint8_t pixels[SIDE * SIDE * 4];
  WebPConfig config;
  WebPPicture picture;
  WebPMemoryWriter writer;
  if (size < HEAD + 1)
    return;
  for (size_t i = 0; i < sizeof pixels; i++)
    pixels[i] = i % 4 == 3 && data[0] & 1 ? 255 : data[HEAD + i % (size - HEAD)];
  demand(WebPConfigInit(&config) && WebPConfigLosslessPreset(&config, data[1] % 10) &&
         WebPPictureInit(&picture));
  picture.use_argb = 1;
  picture.width = picture.height = SIDE;
  WebPMemoryWriterInit(&writer);
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &writer;
  demand(WebPPictureImportRGBA(&picture, pixels, 4 * SIDE) && WebPEncode(&config, &picture));
  for (size_t i = 0; i < data[2] % (DAMAGES + 1U); i++) {
    const uint8_t *damage = data + 3 + 3 * i;
    size_t at = VP8L_AT + VP8L_HEADER + (damage[0] | (size_t)damage[1] << 8);
    if (at < writer.size)
      writer.mem[at] = damage[2];
  }
  size_t body = (writer.size - VP8L_AT - VP8L_HEADER) | 1; /* behind the header; even with it */
  make_lossless(file, writer.mem + VP8L_AT + VP8L_HEADER,
                body > writer.size - VP8L_AT - VP8L_HEADER ? body - 2 : body);
  WebPMemoryWriterClear(&writer);
  WebPPictureFree(&picture);
}

static uint8_t over_white(unsigned colour, unsigned alpha) {
  return (uint8_t)((2 * (colour * alpha + 255 * (255 - alpha)) + 255) / 510);
}

static void compare(const struct file *file) {
  const struct vqct_image_limits limits = {FILE_MAX, 1 << 16, 2048, 1 << 16, 10};
  struct vqct_image image;
  struct vqct_error error;
  int width, height;
  enum vqct_status status = vqct_image_decode(file->bytes, file->size, &limits, &image, &error);
  uint8_t *theirs = WebPDecodeRGBA(file->bytes, file->size, &width, &height);
  if (status == VQCT_OK) {
    demand(theirs && (uint32_t)width == image.width && (uint32_t)height == image.height);
    for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++)
      demand(image.pixels[i] == over_white(theirs[i / 3 * 4 + i % 3], theirs[i / 3 * 4 + 3]));
  } else {
    demand(!image.pixels && error.message[0] && (!theirs || status == VQCT_LIMIT));
  }
  WebPFree(theirs);
  vqct_image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct file file;
  file.size = 0;
  if (size < 2 || size > FILE_MAX / 2)
    return 0;
  if (data[0] % 4 == 2)
    make_damaged(&file, data + 1, size - 1);
  else if (data[0] % 2)
    make_lossless(&file, data + 1, size - 1 - size % 2);
  else
    make_transparent(&file, data + 1, (size - 1) / 2 * 2);
  if (file.size)
    compare(&file);
  return 0;
}
