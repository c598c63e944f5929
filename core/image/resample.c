/* Antialiased bicubic scaling in two passes, rows first, as Pillow does for 8-bit pictures
 * (Pillow's Resample.c is the reference): weights are computed in double, normalised, and rounded
 * to 22 fractional bits; each pass adds products in 32-bit integers, rounds, and clips to 8 bits.
 * So the sum's order does not matter, and any vector width gives the same pixels.
 *
 * The row pass holds two neighbouring pixels of a source row in one vector, each spread to four
 * lanes, so that the sum over a run ends with a single addition; therefore a source row is copied
 * to four bytes a pixel first, and results are written so, of which the next covers the last. The
 * column pass holds neighbouring samples of a row. Vectors are gcc's and clang's own types,
 * compiled for two instruction sets.
 */
#include "resample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "error.h"
#include "size.h"

enum { WEIGHT_BITS = 22 };

/* ---- weights --------------------------------------------------------------------------------- */

/* For each of `count` results along one axis, the weights of a run of source samples. */
struct axis_weights {
  size_t count;
  size_t span;    /* weights a result: its run's and at least one 0 */
  size_t *first;  /* count: number of the run's first pixel */
  size_t *length; /* count: pixels of the run */
  int32_t *value; /* count, span */
  double *exact;  /* one run, before rounding */
};

static void axis_weights_free(struct axis_weights *weights) {
  free(weights->first);
  free(weights->length);
  free(weights->value);
  free(weights->exact);
}

static double bicubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1)
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2)
    return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

static int32_t fixed_point(double weight) {
  double scaled = weight * (1 << WEIGHT_BITS);
  return (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

/* The run of result number `index` of `full`. */
static void compute_run(struct axis_weights *weights, size_t result, uint64_t index, uint64_t full,
                        uint64_t source) {
  double scale = (double)source / (double)full;
  double stretch = scale < 1 ? 1 : scale; /* enlarging needs no antialiasing */
  double centre = ((double)index + 0.5) * scale;
  double support = 2 * stretch;
  double low = centre - support + 0.5, high = centre + support + 0.5;
  size_t first = low < 0 ? 0 : (size_t)low;
  size_t end = high > (double)source ? (size_t)source : (size_t)high;
  double sum = 0;
  for (size_t i = 0; i < end - first; i++) {
    weights->exact[i] = bicubic(((double)(i + first) - centre + 0.5) * (1 / stretch));
    sum += weights->exact[i];
  }
  for (size_t i = 0; i < end - first; i++)
    weights->value[result * weights->span + i] =
        fixed_point(sum != 0 ? weights->exact[i] / sum : weights->exact[i]);
  weights->first[result] = first;
  weights->length[result] = end - first;
}

/* Weights of results `from` to `from + count - 1` of an axis scaled from `source` to `full`. */
static bool axis_weights_compute(struct axis_weights *weights, uint64_t source, uint64_t full,
                                 uint64_t from, size_t count) {
  double scale = (double)source / (double)full;
  size_t cells;
  *weights = (struct axis_weights){.count = count};
  weights->span = ((size_t)ceil(2 * (scale < 1 ? 1 : scale)) + 1) * 2;
  if (!size_multiply(count, weights->span, &cells))
    return false;
  weights->first = calloc(count, sizeof *weights->first);
  weights->length = calloc(count, sizeof *weights->length);
  weights->value = calloc(cells, sizeof *weights->value);
  weights->exact = calloc(weights->span, sizeof *weights->exact);
  if (!weights->first || !weights->length || !weights->value || !weights->exact)
    return false;
  for (size_t i = 0; i < count; i++)
    compute_run(weights, i, from + i, full, source);
  return true;
}

/* ---- the two passes -------------------------------------------------------------------------- */

/* One run of both passes: the source rows that are needed, scaled along x, then along y. */
struct passes {
  const struct vqct_image *image;
  struct axis_weights x, y;
  int32_t *x_lanes;  /* x's weights, each as often as a pixel has lanes */
  size_t top, rows;  /* source rows that are needed */
  uint8_t *wide_row; /* one source row of 4 bytes a pixel, and a zero pixel */
  uint8_t *middle;   /* rows, of the result's width, padded to whole strips; and a pixel */
  size_t stride;     /* bytes of such a row */
  struct vqct_image *result;
};

enum { LANES = 8, PIXEL_LANES = 4, STRIP = 4 * LANES };
typedef int32_t lanes __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef int32_t pixel_lanes __attribute__((vector_size(PIXEL_LANES * sizeof(int32_t))));
typedef uint8_t pixel_bytes __attribute__((vector_size(PIXEL_LANES * sizeof(int32_t))));

/* So that each caller's instruction set is used for it. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* *sums += samples * *weights. Vectors go by address: by value they would differ in calling
 * convention from one instruction set to another. */
ALWAYS_INLINE void add_products(lanes *sums, const uint8_t *samples, const lanes *weights) {
  const uint8_t *s = samples;
  *sums += (lanes){s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]} * *weights;
}

/* Four sums become levels, 0 to 255. */
ALWAYS_INLINE void round_and_clip(const pixel_lanes *sums, uint8_t *result) {
  pixel_lanes level = (*sums + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS;
  level &= ~(level >> 31); /* below 0: 0 */
  level |= level > 255;    /* above 255: all bits, of which eight are kept */
  pixel_bytes bytes = (pixel_bytes)level;
  bytes = __builtin_shufflevector(bytes, bytes, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
  memcpy(result, &bytes, PIXEL_LANES);
}

/* Reads and writes words of a pixel, whose last bytes are not told: of three channels the next
 * pixel's first, which no result takes. */
ALWAYS_INLINE void spread_row(const uint8_t *row, size_t width, size_t channels, uint8_t *wide) {
  for (size_t x = 0; x + 1 < width; x++)
    memcpy(wide + x * PIXEL_LANES, row + x * channels, channels == 3 ? PIXEL_LANES : channels);
  memcpy(wide + (width - 1) * PIXEL_LANES, row + (width - 1) * channels, channels);
}

ALWAYS_INLINE void scale_row(const struct passes *passes, size_t channels, uint8_t *result) {
  const struct axis_weights *x_axis = &passes->x;
  for (size_t x = 0; x < x_axis->count; x++) {
    const uint8_t *samples = passes->wide_row + x_axis->first[x] * PIXEL_LANES;
    const int32_t *value = passes->x_lanes + x * x_axis->span * PIXEL_LANES;
    lanes sums = {0}, weight; /* of two pixels; the run's end is followed by a zero */
    for (size_t i = 0; i < x_axis->length[x]; i += 2) {
      memcpy(&weight, value + i * PIXEL_LANES, sizeof weight);
      add_products(&sums, samples + i * PIXEL_LANES, &weight);
    }
    pixel_lanes halves[2];
    memcpy(halves, &sums, sizeof halves);
    halves[0] += halves[1];
    round_and_clip(&halves[0], result + x * channels);
  }
}

/* Result row number y, whose run begins in row `rows` of the middle. */
ALWAYS_INLINE void scale_column(const struct passes *passes, size_t y, const uint8_t *rows,
                                uint8_t *result, size_t row_bytes) {
  const int32_t *value = passes->y.value + y * passes->y.span;
  for (size_t at = 0; at < row_bytes; at += STRIP) {
    lanes sums[STRIP / LANES] = {{0}};
    for (size_t i = 0; i < passes->y.length[y]; i++) {
      int32_t w = value[i];
      lanes weight = {w, w, w, w, w, w, w, w};
      for (size_t part = 0; part < STRIP / LANES; part++)
        add_products(&sums[part], rows + i * passes->stride + at + part * LANES, &weight);
    }
    pixel_lanes parts[STRIP / PIXEL_LANES];
    uint8_t strip[STRIP];
    memcpy(parts, sums, sizeof parts);
    for (size_t part = 0; part < STRIP / PIXEL_LANES; part++)
      round_and_clip(&parts[part], strip + part * PIXEL_LANES);
    memcpy(result + at, strip, row_bytes - at < STRIP ? row_bytes - at : STRIP);
  }
}

ALWAYS_INLINE void run_passes_of(const struct passes *passes, size_t channels) {
  const struct vqct_image *image = passes->image, *result = passes->result;
  size_t row_bytes = result->width * channels;
  for (size_t i = 0; i < passes->rows; i++) {
    spread_row(image->pixels + (passes->top + i) * image->width * channels, image->width, channels,
               passes->wide_row);
    scale_row(passes, channels, passes->middle + i * passes->stride);
  }
  for (size_t y = 0; y < result->height; y++)
    scale_column(passes, y, passes->middle + (passes->y.first[y] - passes->top) * passes->stride,
                 result->pixels + y * row_bytes, row_bytes);
}

/* A constant number of channels lets the compiler unroll the innermost loops. */
ALWAYS_INLINE void run_passes_inline(const struct passes *passes) {
  if (passes->image->channels == 1)
    run_passes_of(passes, 1);
  else
    run_passes_of(passes, 3);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void run_passes_avx2(const struct passes *passes) {
  run_passes_inline(passes);
}
#endif

static void run_passes(const struct passes *passes, enum cpu_isa isa) {
#if defined(__x86_64__)
  if (isa >= CPU_AVX2) {
    run_passes_avx2(passes);
    return;
  }
#else
  (void)isa;
#endif
  run_passes_inline(passes);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void copy_part(const struct vqct_image *image, const struct resample_target *target,
                      struct vqct_image *result) {
  size_t row_bytes = (size_t)target->width * image->channels;
  for (size_t y = 0; y < target->height; y++)
    memcpy(result->pixels + y * row_bytes,
           image->pixels + ((target->top + y) * image->width + target->left) * image->channels,
           row_bytes);
}

static bool spread_weights(struct passes *passes) {
  size_t count = passes->x.count * passes->x.span * PIXEL_LANES;
  passes->x_lanes = malloc(count * sizeof *passes->x_lanes);
  for (size_t i = 0; passes->x_lanes && i < count; i++)
    passes->x_lanes[i] = passes->x.value[i / PIXEL_LANES];
  return passes->x_lanes;
}

static bool passes_prepare(struct passes *passes, const struct resample_target *target) {
  const struct vqct_image *image = passes->image;
  size_t middle_bytes, last = target->height - 1;
  if (!axis_weights_compute(&passes->x, image->width, target->full_width, target->left,
                            target->width) ||
      !axis_weights_compute(&passes->y, image->height, target->full_height, target->top,
                            target->height) ||
      !spread_weights(passes))
    return false;
  passes->top = passes->y.first[0];
  passes->rows = passes->y.first[last] + passes->y.length[last] - passes->top;
  passes->stride = ((size_t)target->width * image->channels + STRIP - 1) / STRIP * STRIP;
  if (!size_multiply(passes->stride, passes->rows, &middle_bytes))
    return false;
  passes->wide_row = calloc((size_t)image->width + 1, PIXEL_LANES);
  passes->middle = malloc(middle_bytes + PIXEL_LANES);
  return passes->wide_row && passes->middle;
}

uint64_t resample_centre(uint64_t whole, uint64_t part) {
  uint64_t half = (whole - part) / 2;
  return (whole - part) % 2 ? half + half % 2 : half;
}

struct resample_target resample_cover(uint32_t image_width, uint32_t image_height, uint32_t width,
                                      uint32_t height) {
  struct resample_target target = {.width = width, .height = height};
  bool by_width = (uint64_t)width * image_height >= (uint64_t)height * image_width;
  target.full_width = by_width ? width : (uint64_t)image_width * height / image_height;
  target.full_height = by_width ? (uint64_t)image_height * width / image_width : height;
  target.left = resample_centre(target.full_width, width);
  target.top = resample_centre(target.full_height, height);
  return target;
}

enum vqct_status image_resample(const struct vqct_image *image,
                                const struct resample_target *target, enum cpu_isa isa,
                                struct vqct_image *result, struct vqct_error *error) {
  struct passes passes = {.image = image, .result = result};
  enum vqct_status status =
      image_new(target->width, target->height, image->channels, result, error);
  if (status != VQCT_OK)
    return status;
  if (target->full_width == image->width && target->full_height == image->height) {
    copy_part(image, target, result);
    return VQCT_OK;
  }
  if (passes_prepare(&passes, target)) {
    run_passes(&passes, isa);
  } else {
    vqct_image_free(result);
    status = error_set(error, VQCT_MEMORY, "no memory to scale a picture");
  }
  free(passes.middle);
  free(passes.wide_row);
  free(passes.x_lanes);
  axis_weights_free(&passes.x);
  axis_weights_free(&passes.y);
  return status;
}
