/* Antialiased bicubic scaling in two passes, rows first, as Pillow does for 8-bit pictures
 * (Pillow's Resample.c is the reference): weights are computed in double, normalised, and rounded
 * to 22 fractional bits; each pass adds products in 32-bit integers, rounds, and clips to 8 bits.
 * So the sum's order does not matter, and any vector width gives the same pixels.
 *
 * Both passes compute LANES sums at once. In the row pass the lanes hold neighbouring samples of
 * one source row, so the weights are stored once a sample, and 24 lanes suit 1 and 3 channels
 * alike. In the column pass they hold neighbouring samples of one result row.
 */
#include "resample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "cpu.h"
#include "error.h"
#include "size.h"

enum { LANES = 24, WEIGHT_BITS = 22 };

/* ---- weights --------------------------------------------------------------------------------- */

/* For each of `count` results along one axis, the weights of a run of source samples. */
struct weights {
  size_t count;
  size_t span;    /* weights a result, those beyond its run being 0 */
  size_t *first;  /* count: number of the run's first pixel */
  size_t *length; /* count: pixels of the run */
  int32_t *value; /* count, span */
  double *exact;  /* one run, before rounding */
};

static void weights_free(struct weights *weights) {
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

/* The run of result number `index` of `full`; every weight is repeated `repeat` times. */
static void compute_run(struct weights *weights, size_t result, uint64_t index, uint64_t full,
                        uint64_t source, size_t repeat) {
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
  int32_t *value = weights->value + result * weights->span;
  for (size_t i = 0; i < end - first; i++) {
    int32_t weight = fixed_point(sum != 0 ? weights->exact[i] / sum : weights->exact[i]);
    for (size_t r = 0; r < repeat; r++)
      value[i * repeat + r] = weight;
  }
  weights->first[result] = first;
  weights->length[result] = end - first;
}

/* Weights of results `from` to `from + count - 1` of an axis scaled from `source` to `full` pixels.
 * Each stands `repeat` times, and the span is a multiple of `multiple`. */
static bool weights_compute(struct weights *weights, uint64_t source, uint64_t full, uint64_t from,
                            size_t count, size_t repeat, size_t multiple) {
  double scale = (double)source / (double)full;
  size_t longest = (size_t)ceil(2 * (scale < 1 ? 1 : scale)) * 2 + 1, cells;
  *weights = (struct weights){.count = count};
  if (!size_multiply(longest, repeat, &weights->span) ||
      !size_add(weights->span, multiple - 1, &weights->span))
    return false;
  weights->span -= weights->span % multiple;
  if (!size_multiply(count, weights->span, &cells))
    return false;
  weights->first = calloc(count, sizeof *weights->first);
  weights->length = calloc(count, sizeof *weights->length);
  weights->value = calloc(cells, sizeof *weights->value);
  weights->exact = calloc(longest, sizeof *weights->exact);
  if (!weights->first || !weights->length || !weights->value || !weights->exact)
    return false;
  for (size_t i = 0; i < count; i++)
    compute_run(weights, i, from + i, full, source, repeat);
  return true;
}

/* ---- the two passes -------------------------------------------------------------------------- */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE uint8_t round_and_clip(int32_t sum) {
  int32_t level = (sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS;
  return (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
}

/* sums[l] += samples[l] * weights[l], over whole groups of LANES. */
ALWAYS_INLINE void add_products(int32_t *sums, const uint8_t *samples, const int32_t *weights,
                                size_t count) {
  for (size_t i = 0; i < count; i += LANES)
    for (size_t l = 0; l < LANES; l++)
      sums[l] += samples[i + l] * weights[i + l];
}

/* One source row, followed by a span of readable bytes, to one result row. */
ALWAYS_INLINE void scale_row(const struct weights *weights, const uint8_t *row, size_t channels,
                             uint8_t *result) {
  for (size_t x = 0; x < weights->count; x++) {
    int32_t sums[LANES] = {0};
    add_products(sums, row + weights->first[x] * channels, weights->value + x * weights->span,
                 weights->span);
    for (size_t c = 0; c < channels; c++) {
      int32_t sum = 0;
      for (size_t l = c; l < LANES; l += channels)
        sum += sums[l];
      result[x * channels + c] = round_and_clip(sum);
    }
  }
}

/* Result row number y from the rows of its run, of which row number `top` is the first stored. */
ALWAYS_INLINE void scale_column(const struct weights *weights, size_t y, const uint8_t *rows,
                                size_t row_bytes, uint8_t *result) {
  const int32_t *value = weights->value + y * weights->span;
  size_t at = 0;
  for (; at + LANES <= row_bytes; at += LANES) {
    int32_t sums[LANES] = {0};
    for (size_t i = 0; i < weights->length[y]; i++)
      for (size_t l = 0; l < LANES; l++)
        sums[l] += rows[i * row_bytes + at + l] * value[i];
    for (size_t l = 0; l < LANES; l++)
      result[at + l] = round_and_clip(sums[l]);
  }
  for (; at < row_bytes; at++) {
    int32_t sum = 0;
    for (size_t i = 0; i < weights->length[y]; i++)
      sum += rows[i * row_bytes + at] * value[i];
    result[at] = round_and_clip(sum);
  }
}

/* One run of both passes: the source rows that are needed, scaled along x, then along y. */
struct passes {
  const struct vqct_image *image;
  struct weights x, y;
  size_t top, rows;    /* source rows that are needed */
  uint8_t *padded_row; /* one source row and a span of zeros */
  uint8_t *middle;     /* rows, of the result's width */
  struct vqct_image *result;
};

ALWAYS_INLINE void run_passes_inline(const struct passes *passes) {
  const struct vqct_image *image = passes->image, *result = passes->result;
  size_t channels = image->channels;
  size_t source_bytes = image->width * channels, result_bytes = result->width * channels;
  for (size_t i = 0; i < passes->rows; i++) {
    memcpy(passes->padded_row, image->pixels + (passes->top + i) * source_bytes, source_bytes);
    scale_row(&passes->x, passes->padded_row, channels, passes->middle + i * result_bytes);
  }
  for (size_t y = 0; y < result->height; y++)
    scale_column(&passes->y, y, passes->middle + (passes->y.first[y] - passes->top) * result_bytes,
                 result_bytes, result->pixels + y * result_bytes);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void run_passes_avx2(const struct passes *passes) {
  run_passes_inline(passes);
}
#endif

static void run_passes(const struct passes *passes) {
#if defined(__x86_64__)
  if (cpu_best_isa() >= CPU_AVX2) {
    run_passes_avx2(passes);
    return;
  }
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

static bool passes_prepare(struct passes *passes, const struct resample_target *target) {
  const struct vqct_image *image = passes->image;
  size_t channels = image->channels, row_bytes, middle_bytes;
  if (!weights_compute(&passes->x, image->width, target->full_width, target->left, target->width,
                       channels, LANES) ||
      !weights_compute(&passes->y, image->height, target->full_height, target->top, target->height,
                       1, 1))
    return false;
  size_t last = target->height - 1;
  passes->top = passes->y.first[0];
  passes->rows = passes->y.first[last] + passes->y.length[last] - passes->top;
  if (!size_multiply(image->width, channels, &row_bytes) ||
      !size_add(row_bytes, passes->x.span, &row_bytes) ||
      !size_multiply(target->width, channels, &middle_bytes) ||
      !size_multiply(middle_bytes, passes->rows, &middle_bytes))
    return false;
  passes->padded_row = calloc(1, row_bytes);
  passes->middle = malloc(middle_bytes);
  return passes->padded_row && passes->middle;
}

enum vqct_status image_resample(const struct vqct_image *image,
                                const struct resample_target *target, struct vqct_image *result,
                                struct vqct_error *error) {
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
    run_passes(&passes);
  } else {
    vqct_image_free(result);
    status = error_set(error, VQCT_MEMORY, "no memory to scale a picture");
  }
  free(passes.middle);
  free(passes.padded_row);
  weights_free(&passes.x);
  weights_free(&passes.y);
  return status;
}
