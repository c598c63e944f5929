/* PNG through libpng's row interface.
 *
 * The chunks are walked first, without libpng: every length is compared with the limits and with
 * the bytes that are there, so that a truncated file or a huge chunk is told before memory is
 * taken. libpng is then told to skip every chunk but the five that pixels need.
 *
 * libpng reports errors through a function that must not return; ours jumps back to the one setjmp
 * of each direction. What must survive the jump lives in a job record outside that function.
 */
#include <inttypes.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "error.h"
#include "orientation.h"
#include "size.h"

/* ---- the file's outline ---------------------------------------------------------------------- */

enum { SIGNATURE_BYTES = 8, CHUNK_FRAME_BYTES = 12 /* length, type and checksum */ };

static uint32_t read_u32(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Of the first chunk eXIf, wherever it stands; 1 where there is none. */
static unsigned find_orientation(const uint8_t *data, size_t size) {
  size_t at = SIGNATURE_BYTES;
  while (size - at >= CHUNK_FRAME_BYTES) {
    uint32_t length = read_u32(data + at);
    const uint8_t *type = data + at + 4;
    if (length > size - at - CHUNK_FRAME_BYTES || memcmp(type, "IEND", 4) == 0)
      break;
    if (memcmp(type, "eXIf", 4) == 0)
      return orientation_of_tiff(type + 4, length);
    at += CHUNK_FRAME_BYTES + (size_t)length;
  }
  return 1;
}

enum vqct_status codec_png_header(const uint8_t *data, size_t size,
                                  struct vqct_image_header *header, struct vqct_error *error) {
  static const uint8_t start[8] = {0, 0, 0, 13, 'I', 'H', 'D', 'R'};
  if (size < SIGNATURE_BYTES + CHUNK_FRAME_BYTES + 13)
    return error_set(error, VQCT_IMAGE, "the PNG file is truncated in its header (%zu bytes)",
                     size);
  if (memcmp(data + SIGNATURE_BYTES, start, sizeof start) != 0)
    return error_set(error, VQCT_IMAGE, "the PNG file does not begin with an IHDR chunk");
  bool swaps = orientation_swaps(find_orientation(data, size));
  header->width = read_u32(data + (swaps ? 20 : 16));
  header->height = read_u32(data + (swaps ? 16 : 20));
  return VQCT_OK;
}

static bool is_chunk_type(const uint8_t *type) {
  for (int i = 0; i < 4; i++)
    if (!((type[i] >= 'A' && type[i] <= 'Z') || (type[i] >= 'a' && type[i] <= 'z')))
      return false;
  return true;
}

/* Follows the chunks to IEND. What comes after it is nobody's business. */
static enum vqct_status check_chunks(const uint8_t *data, size_t size,
                                     const struct vqct_image_limits *limits,
                                     struct vqct_error *error) {
  size_t at = SIGNATURE_BYTES;
  while (size - at >= CHUNK_FRAME_BYTES) {
    uint32_t length = read_u32(data + at);
    const uint8_t *type = data + at + 4;
    if (!is_chunk_type(type))
      return error_set(error, VQCT_IMAGE, "the PNG chunk at byte %zu has no valid type", at);
    if (length > limits->chunk_bytes && memcmp(type, "IDAT", 4) != 0)
      return error_set(error, VQCT_LIMIT,
                       "the PNG chunk %.4s at byte %zu has %" PRIu32
                       " bytes, over the limit of %" PRIu32,
                       (const char *)type, at, length, limits->chunk_bytes);
    if (length > size - at - CHUNK_FRAME_BYTES)
      return error_set(error, VQCT_IMAGE,
                       "the PNG file is truncated: chunk %.4s at byte %zu has %" PRIu32
                       " bytes, and %zu are left",
                       (const char *)type, at, length, size - at - CHUNK_FRAME_BYTES);
    if (memcmp(type, "IEND", 4) == 0)
      return VQCT_OK;
    at += CHUNK_FRAME_BYTES + (size_t)length;
  }
  return error_set(error, VQCT_IMAGE, "the PNG file is truncated: no IEND chunk in %zu bytes",
                   size);
}

/* ---- errors of libpng ------------------------------------------------------------------------ */

struct png_failure {
  jmp_buf caller;
  struct vqct_error *error;
  enum vqct_status status;
  bool memory; /* an allocation failed; libpng has no error numbers that would tell */
};

_Noreturn static void fail(png_structp png, png_const_charp message) {
  struct png_failure *failure = png_get_error_ptr(png);
  failure->status = failure->memory ? VQCT_MEMORY : VQCT_IMAGE;
  error_set(failure->error, failure->status, "PNG: %s", message);
  longjmp(failure->caller, 1);
}

static png_voidp take_memory(png_structp png, png_alloc_size_t size) {
  struct png_failure *failure = png_get_mem_ptr(png);
  void *memory = malloc(size);
  failure->memory = failure->memory || !memory;
  return memory;
}

static void give_memory(png_structp png, png_voidp memory) {
  (void)png;
  free(memory);
}

/* Warnings are about chunks that we skip, or data beyond the last row; the pixels are whole. */
static void ignore_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

/* ---- decoding -------------------------------------------------------------------------------- */

struct png_reading {
  struct png_failure failure;
  const uint8_t *data;
  size_t size, at;
  struct vqct_image *image;
  png_structp png;
  png_infop info;
};

static void read_bytes(png_structp png, png_bytep bytes, size_t count) {
  struct png_reading *reading = png_get_io_ptr(png);
  if (count > reading->size - reading->at)
    png_error(png, "the file is truncated");
  memcpy(bytes, reading->data + reading->at, count);
  reading->at += count;
}

/* All colour types become 8-bit RGB, or RGBA where there is transparency. Of 16 bits the upper 8
 * are kept, as Pillow does for colour; gamma and colour profiles are left alone, as it does too. */
static unsigned set_transformations(png_structp png, png_infop info) {
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_read_update_info(png, info);
  return png_get_channels(png, info);
}

/* Everything that may jump. */
static enum vqct_status read_rows(struct png_reading *reading) {
  png_structp png = reading->png;
  if (setjmp(reading->failure.caller))
    return reading->failure.status;
  png_set_read_fn(png, reading, read_bytes);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(png, reading->info);
  int passes = png_set_interlace_handling(png);
  unsigned channels = set_transformations(png, reading->info);
  uint32_t width = png_get_image_width(png, reading->info);
  uint32_t height = png_get_image_height(png, reading->info);
  if (png_get_rowbytes(png, reading->info) != (size_t)width * channels ||
      (channels != 3 && channels != 4))
    png_error(png, "unexpected row format");
  enum vqct_status status =
      image_new(width, height, channels, reading->image, reading->failure.error);
  if (status != VQCT_OK)
    return status;
  for (int pass = 0; pass < passes; pass++)
    for (size_t y = 0; y < height; y++)
      png_read_row(png, reading->image->pixels + y * width * channels, NULL);
  return VQCT_OK;
}

enum vqct_status codec_png_decode(const uint8_t *data, size_t size,
                                  const struct vqct_image_limits *limits,
                                  const struct vqct_image_header *header, struct vqct_image *image,
                                  struct vqct_error *error) {
  struct png_reading reading = {
      .failure = {.error = error}, .data = data, .size = size, .image = image};
  enum vqct_status status = check_chunks(data, size, limits, error);
  if (status != VQCT_OK)
    return status;
  unsigned orientation = find_orientation(data, size);
  reading.png =
      png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &reading.failure, fail, ignore_warning,
                               &reading.failure, take_memory, give_memory);
  reading.info = reading.png ? png_create_info_struct(reading.png) : NULL;
  if (reading.info) {
    bool swaps = orientation_swaps(orientation);
    png_set_user_limits(reading.png, swaps ? header->height : header->width,
                        swaps ? header->width : header->height);
    status = read_rows(&reading);
  } else {
    status = error_set(error, VQCT_MEMORY, "no memory to read a PNG file");
  }
  png_destroy_read_struct(&reading.png, &reading.info, NULL);
  if (status != VQCT_OK)
    goto failed;
  image_over_white(image);
  if ((status = orientation_apply(orientation, image, error)) != VQCT_OK)
    goto failed;
  return VQCT_OK;
failed:
  vqct_image_free(image);
  return status;
}

/* ---- encoding -------------------------------------------------------------------------------- */

struct png_writing {
  struct png_failure failure;
  const struct vqct_image *image;
  struct vqct_bytes file;
  size_t room;
  png_structp png;
  png_infop info;
};

static void write_bytes(png_structp png, png_bytep bytes, size_t count) {
  struct png_writing *writing = png_get_io_ptr(png);
  struct vqct_bytes *file = &writing->file;
  if (!bytes_reserve(file, &writing->room, count)) {
    writing->failure.memory = true;
    png_error(png, "the file does not fit in memory");
  }
  memcpy(file->data + file->size, bytes, count);
  file->size += count;
}

static void flush_nothing(png_structp png) {
  (void)png;
}

/* Everything that may jump. */
static enum vqct_status write_rows(struct png_writing *writing) {
  const struct vqct_image *image = writing->image;
  png_structp png = writing->png;
  if (setjmp(writing->failure.caller))
    return writing->failure.status;
  png_set_write_fn(png, writing, write_bytes, flush_nothing);
  png_set_IHDR(png, writing->info, image->width, image->height, 8,
               image->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, writing->info);
  for (size_t y = 0; y < image->height; y++)
    png_write_row(png, image->pixels + y * image->width * image->channels);
  png_write_end(png, writing->info);
  return VQCT_OK;
}

enum vqct_status vqct_image_encode_png(const struct vqct_image *image, struct vqct_bytes *file,
                                       struct vqct_error *error) {
  struct png_writing writing = {.failure = {.error = error}, .image = image};
  enum vqct_status status = image_check_encodable(image, error);
  *file = (struct vqct_bytes){0};
  if (status != VQCT_OK)
    return status;
  writing.png =
      png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &writing.failure, fail, ignore_warning,
                                &writing.failure, take_memory, give_memory);
  writing.info = writing.png ? png_create_info_struct(writing.png) : NULL;
  if (writing.info)
    status = write_rows(&writing);
  else
    status = error_set(error, VQCT_MEMORY, "no memory to write a PNG file");
  png_destroy_write_struct(&writing.png, &writing.info);
  if (status == VQCT_OK)
    *file = writing.file;
  else
    free(writing.file.data);
  return status;
}
