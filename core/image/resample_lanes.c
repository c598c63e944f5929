/* The row pass holds two neighbouring pixels of a source row in one vector, each spread to four
 * lanes, so that the sum over a run ends with a single addition; therefore a source row is copied
 * to four bytes a pixel first, and results are written so, of which the next covers the last. The
 * column pass holds neighbouring samples of a row. Vectors are gcc's and clang's own types,
 * compiled for two instruction sets.
 */
#include "resample_lanes.h"

#include <stdlib.h>
#include <string.h>

#include "size.h"

/* The memory of a run of both passes. */
struct lane_passes {
  const struct resampling *resampling;
  int32_t *x_lanes;  /* x's weights, each as often as a pixel has lanes */
  uint8_t *wide_row; /* one source row of 4 bytes a pixel, and a zero pixel */
  uint8_t *middle;   /* rows, of the result's width, padded to whole strips; and a pixel */
  size_t stride;     /* bytes of such a row */
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
  pixel_lanes level = (*sums + (1 << (RESAMPLE_WEIGHT_BITS - 1))) >> RESAMPLE_WEIGHT_BITS;
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

ALWAYS_INLINE void scale_row(const struct lane_passes *passes, size_t channels, uint8_t *result) {
  const struct axis_weights *x_axis = &passes->resampling->x;
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
ALWAYS_INLINE void scale_column(const struct lane_passes *passes, size_t y, const uint8_t *rows,
                                uint8_t *result, size_t row_bytes) {
  const struct axis_weights *y_axis = &passes->resampling->y;
  const int32_t *value = y_axis->value + y * y_axis->span;
  for (size_t at = 0; at < row_bytes; at += STRIP) {
    lanes sums[STRIP / LANES] = {{0}};
    for (size_t i = 0; i < y_axis->length[y]; i++) {
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

ALWAYS_INLINE void run_passes_of(const struct lane_passes *passes, size_t channels) {
  const struct resampling *r = passes->resampling;
  const struct vqct_image *image = r->image, *result = r->result;
  size_t row_bytes = result->width * channels;
  for (size_t i = 0; i < r->rows; i++) {
    spread_row(image->pixels + (r->top + i) * image->width * channels, image->width, channels,
               passes->wide_row);
    scale_row(passes, channels, passes->middle + i * passes->stride);
  }
  for (size_t y = 0; y < result->height; y++)
    scale_column(passes, y, passes->middle + (r->y.first[y] - r->top) * passes->stride,
                 result->pixels + y * row_bytes, row_bytes);
}

/* A constant number of channels lets the compiler unroll the innermost loops. */
ALWAYS_INLINE void run_passes_inline(const struct lane_passes *passes) {
  if (passes->resampling->image->channels == 1)
    run_passes_of(passes, 1);
  else
    run_passes_of(passes, 3);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void run_passes_avx2(const struct lane_passes *passes) {
  run_passes_inline(passes);
}
#endif

static void run_passes(const struct lane_passes *passes, enum cpu_isa isa) {
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

static bool spread_weights(struct lane_passes *passes) {
  const struct axis_weights *x = &passes->resampling->x;
  size_t count = x->count * x->span * PIXEL_LANES;
  passes->x_lanes = malloc(count * sizeof *passes->x_lanes);
  for (size_t i = 0; passes->x_lanes && i < count; i++)
    passes->x_lanes[i] = x->value[i / PIXEL_LANES];
  return passes->x_lanes;
}

static bool passes_make(struct lane_passes *passes) {
  const struct resampling *r = passes->resampling;
  size_t middle_bytes;
  passes->stride = ((size_t)r->result->width * r->image->channels + STRIP - 1) / STRIP * STRIP;
  if (!spread_weights(passes) || !size_multiply(passes->stride, r->rows, &middle_bytes))
    return false;
  passes->wide_row = calloc((size_t)r->image->width + 1, PIXEL_LANES);
  passes->middle = malloc(middle_bytes + PIXEL_LANES);
  return passes->wide_row && passes->middle;
}

bool resample_lanes(const struct resampling *r, enum cpu_isa isa) {
  struct lane_passes passes = {.resampling = r};
  bool made = passes_make(&passes);
  if (made)
    run_passes(&passes, isa);
  free(passes.middle);
  free(passes.wide_row);
  free(passes.x_lanes);
  return made;
}
