/* JPEG through libjpeg-turbo.
 *
 * libjpeg reports errors through a function that must not return; ours jumps back to the one setjmp
 * of each direction. What must survive the jump lives in a job record outside that function.
 *
 * Warnings. libjpeg calls damage a warning and paints what it has, often grey. Here each of these
 * is an error, because the picture would not be the one that was written: the file or a scan ends
 * early, a Huffman or arithmetic code is invalid, restart markers do not match, scans of a
 * progressive file contradict each other. Other warnings leave every pixel whole (bytes between
 * markers, odd version numbers and colour transforms) and are ignored.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include <jerror.h>

#include "codec.h"
#include "error.h"
#include "orientation.h"

struct jpeg_failure {
  struct jpeg_error_mgr manager; /* first, so that libjpeg's pointer to it is one to the whole */
  jmp_buf caller;
  struct vqct_error *error;
  enum vqct_status status;
};

_Noreturn static void fail(j_common_ptr info) {
  struct jpeg_failure *failure = (struct jpeg_failure *)info->err;
  char message[JMSG_LENGTH_MAX];
  info->err->format_message(info, message);
  failure->status = info->err->msg_code == JERR_OUT_OF_MEMORY ? VQCT_MEMORY : VQCT_IMAGE;
  error_set(failure->error, failure->status, "JPEG: %s", message);
  longjmp(failure->caller, 1);
}

static void judge_warning(j_common_ptr info, int level) {
  if (level >= 0) /* a trace message */
    return;
  switch (info->err->msg_code) {
  case JWRN_JPEG_EOF:
  case JWRN_HIT_MARKER:
  case JWRN_HUFF_BAD_CODE:
  case JWRN_ARITH_BAD_CODE:
  case JWRN_MUST_RESYNC:
  case JWRN_BOGUS_PROGRESSION:
    fail(info);
  default:
    break;
  }
}

static void print_nothing(j_common_ptr info) {
  (void)info;
}

static struct jpeg_error_mgr *catch_errors(struct jpeg_failure *failure, struct vqct_error *error) {
  struct jpeg_error_mgr *manager = jpeg_std_error(&failure->manager);
  failure->error = error;
  manager->error_exit = fail;
  manager->emit_message = judge_warning;
  manager->output_message = print_nothing;
  return manager;
}

/* ---- decoding -------------------------------------------------------------------------------- */

struct jpeg_reading {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_progress_mgr progress; /* its client is found through jpeg.client_data */
  struct jpeg_failure failure;
  const struct jpeg_segments *segments;
  uint32_t scan_limit;
  unsigned reduction; /* 1, 2, 4 or 8 */
  struct vqct_image *image;
};

/* libjpeg calls this at least once a scan. A scan costs time in proportion to the picture and
 * hardly any bytes, so their number is limited. */
static void check_scans(j_common_ptr info) {
  struct jpeg_reading *reading = info->client_data;
  int scan = reading->jpeg.input_scan_number;
  if (scan <= 0 || (uint32_t)scan <= reading->scan_limit)
    return;
  reading->failure.status =
      error_set(reading->failure.error, VQCT_LIMIT,
                "the JPEG file has more scans than the limit of %" PRIu32, reading->scan_limit);
  longjmp(reading->failure.caller, 1);
}

/* What libjpeg is to give: RGB, or CMYK for the two ink models, which it cannot turn into RGB. */
static void choose_output(struct jpeg_decompress_struct *jpeg) {
  switch (jpeg->jpeg_color_space) {
  case JCS_GRAYSCALE:
  case JCS_YCbCr:
  case JCS_RGB:
    jpeg->out_color_space = JCS_RGB;
    break;
  case JCS_CMYK:
  case JCS_YCCK:
    jpeg->out_color_space = JCS_CMYK;
    break;
  default:
    ERREXIT(jpeg, JERR_CONVERSION_NOTIMPL);
  }
}

/* CMYK to RGB in place, rounded as Pillow does. The inks are stored inverted, as Adobe does, with
 * or without Adobe's marker: so Pillow and browsers read them too. */
static void convert_inks(uint8_t *row, size_t width) {
  for (size_t x = 0; x < width; x++) {
    unsigned white = row[4 * x + 3];
    for (size_t c = 0; c < 3; c++) {
      unsigned product = (255u - row[4 * x + c]) * white + 128;
      row[3 * x + c] = (uint8_t)(white - ((product + (product >> 8)) >> 8));
    }
  }
}

/* The picture's memory is taken only after libjpeg has accepted the header. */
static void read_rows(struct jpeg_reading *reading) {
  struct jpeg_decompress_struct *jpeg = &reading->jpeg;
  bool inks = jpeg->out_color_space == JCS_CMYK;
  JSAMPARRAY row = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE,
                                           jpeg->output_width * (inks ? 4 : 3), 1);
  const struct placement place =
      orientation_placement(reading->segments->orientation, reading->image);
  uint8_t *pixels = reading->image->pixels + 3 * place.origin;
  while (jpeg->output_scanline < jpeg->output_height) {
    uint8_t *to = pixels + 3 * place.row * (ptrdiff_t)jpeg->output_scanline;
    if (place.column == 1 && !inks) {
      jpeg_read_scanlines(jpeg, &to, 1);
      continue;
    }
    jpeg_read_scanlines(jpeg, row, 1);
    if (inks)
      convert_inks(row[0], jpeg->output_width);
    orientation_place_row(row[0], jpeg->output_width, to, place.column);
  }
}

/* Everything that may jump. */
static enum vqct_status read_jpeg(struct jpeg_reading *reading, const uint8_t *data, size_t size) {
  struct jpeg_decompress_struct *jpeg = &reading->jpeg;
  const struct jpeg_segments *segments = reading->segments;
  if (setjmp(reading->failure.caller))
    return reading->failure.status;
  jpeg_create_decompress(jpeg);
  jpeg->client_data = reading;
  jpeg->progress = &reading->progress;
  jpeg_mem_src(jpeg, data, size);
  jpeg_read_header(jpeg, TRUE);
  if (jpeg->image_width != segments->width || jpeg->image_height != segments->height)
    return error_set(reading->failure.error, VQCT_IMAGE,
                     "the JPEG file has two frame headers that differ");
  choose_output(jpeg);
  jpeg->scale_num = 1;
  jpeg->scale_denom = reading->reduction;
  jpeg_start_decompress(jpeg);
  bool swaps = orientation_swaps(segments->orientation);
  enum vqct_status status = image_new(swaps ? jpeg->output_height : jpeg->output_width,
                                      swaps ? jpeg->output_width : jpeg->output_height, 3,
                                      reading->image, reading->failure.error);
  if (status != VQCT_OK)
    return status;
  read_rows(reading);
  jpeg_finish_decompress(jpeg);
  return VQCT_OK;
}

enum vqct_status codec_jpeg_decode(const uint8_t *data, size_t size,
                                   const struct vqct_image_limits *limits,
                                   const struct jpeg_segments *segments, unsigned reduction,
                                   struct vqct_image *image, struct vqct_error *error) {
  struct jpeg_reading reading = {.progress.progress_monitor = check_scans,
                                 .segments = segments,
                                 .scan_limit = limits->scans,
                                 .reduction = reduction,
                                 .image = image};
  reading.jpeg.err = catch_errors(&reading.failure, error);
  enum vqct_status status = read_jpeg(&reading, data, size);
  jpeg_destroy_decompress(&reading.jpeg);
  if (status != VQCT_OK)
    vqct_image_free(image);
  return status;
}

/* ---- encoding -------------------------------------------------------------------------------- */

struct jpeg_writing {
  struct jpeg_compress_struct jpeg;
  struct jpeg_failure failure;
  struct jpeg_destination_mgr destination;
  struct vqct_bytes file;
  size_t room;
};

/* libjpeg's own memory destination loses its block after an error; so this is one. Its buffer is
 * what is free of the file's block. */
static void offer_room(struct jpeg_writing *writing) {
  if (!bytes_reserve(&writing->file, &writing->room, 16384))
    ERREXIT1(&writing->jpeg, JERR_OUT_OF_MEMORY, 0);
  writing->destination.next_output_byte = writing->file.data + writing->file.size;
  writing->destination.free_in_buffer = writing->room - writing->file.size;
}

static void begin_file(j_compress_ptr jpeg) {
  offer_room(jpeg->client_data);
}

/* Called when no byte is free. */
static boolean extend_file(j_compress_ptr jpeg) {
  struct jpeg_writing *writing = jpeg->client_data;
  writing->file.size = writing->room;
  offer_room(writing);
  return TRUE;
}

static void end_file(j_compress_ptr jpeg) {
  struct jpeg_writing *writing = jpeg->client_data;
  writing->file.size = writing->room - writing->destination.free_in_buffer;
}

/* Chroma at half the resolution is what sizes below quality 90 are about; above, it would be the
 * largest error left. */
static void set_parameters(struct jpeg_compress_struct *jpeg, const struct vqct_image *image,
                           int quality) {
  jpeg->image_width = image->width;
  jpeg->image_height = image->height;
  jpeg->input_components = (int)image->channels;
  jpeg->in_color_space = image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(jpeg);
  jpeg_set_quality(jpeg, quality, TRUE);
  if (image->channels == 3) {
    int sampling = quality < 90 ? 2 : 1;
    jpeg->comp_info[0].h_samp_factor = sampling;
    jpeg->comp_info[0].v_samp_factor = sampling;
  }
}

/* Everything that may jump. */
static enum vqct_status write_jpeg(struct jpeg_writing *writing, const struct vqct_image *image,
                                   int quality) {
  struct jpeg_compress_struct *jpeg = &writing->jpeg;
  if (setjmp(writing->failure.caller))
    return writing->failure.status;
  jpeg_create_compress(jpeg);
  jpeg->client_data = writing;
  jpeg->dest = &writing->destination;
  set_parameters(jpeg, image, quality);
  jpeg_start_compress(jpeg, TRUE);
  while (jpeg->next_scanline < jpeg->image_height) {
    JSAMPROW row = image->pixels + (size_t)jpeg->next_scanline * image->width * image->channels;
    jpeg_write_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_compress(jpeg);
  return VQCT_OK;
}

enum vqct_status vqct_image_encode_jpeg(const struct vqct_image *image, int quality,
                                        struct vqct_bytes *file, struct vqct_error *error) {
  struct jpeg_writing writing = {.destination = {.init_destination = begin_file,
                                                 .empty_output_buffer = extend_file,
                                                 .term_destination = end_file}};
  enum vqct_status status = image_check_encodable(image, error);
  *file = (struct vqct_bytes){0};
  if (status != VQCT_OK)
    return status;
  if (quality < 1 || quality > 100)
    return error_set(error, VQCT_INVALID, "JPEG quality %d is not 1 to 100", quality);
  writing.jpeg.err = catch_errors(&writing.failure, error);
  status = write_jpeg(&writing, image, quality);
  jpeg_destroy_compress(&writing.jpeg);
  if (status == VQCT_OK)
    *file = writing.file;
  else
    free(writing.file.data);
  return status;
}
