/* A weight of 22 fractional bits and a sign is three bytes: w = 65536 high + 256 middle + low, each
 * -128 to 127. So four pixels' samples of one channel, side by side in a lane, take three products
 * of bytes instead of four of words, and the three sums make the sum. All is exact, and equal to
 * what resample_lanes.c adds up.
 *
 * The row pass takes two rows at once, one in each half of a vector, so that both use a weight as
 * it is loaded; its lanes are the channels. The column pass takes 32 neighbouring samples of four
 * rows at once. Both add up equally many weights for every result, zeros after a run's end.
 */
#include "resample_bytes.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#include "size.h"

#define WITH_VNNI                                                                                  \
  __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"),                     \
                 always_inline)) static inline

#define UNROLL _Pragma("GCC unroll 4")

enum { GROUP = 4 /* weights of a lane */, QUAD = 4 /* results of a row made together */ };

/* Bytes of a group's weights. */
struct group_weights {
  int8_t high[GROUP], middle[GROUP], low[GROUP];
};

/* An axis whose results are as many as a multiple of QUAD; the added ones have no weight. */
struct byte_axis {
  size_t count, groups;          /* groups: of each result */
  size_t *first;                 /* count: number of the first pixel */
  struct group_weights *weights; /* count, groups */
};

/* The memory of a run of both passes. */
struct byte_passes {
  struct byte_axis x, y;
  size_t reach;    /* bytes from a row's first on that the row pass may read */
  uint8_t *edge;   /* copies of two rows that end too close to the picture's end to be read so */
  uint8_t *middle; /* rows scaled along x; then rows that are read, times 0 */
  size_t stride;   /* bytes of such a row */
};

/* ---- weights --------------------------------------------------------------------------------- */

static void split(int32_t weight, struct group_weights *group, size_t at) {
  group->low[at] = (int8_t)(uint8_t)weight;
  weight = (weight - group->low[at]) / 256;
  group->middle[at] = (int8_t)(uint8_t)weight;
  group->high[at] = (int8_t)((weight - group->middle[at]) / 256);
}

static bool byte_axis_make(struct byte_axis *axis, const struct axis_weights *from) {
  size_t longest = 0, cells;
  for (size_t i = 0; i < from->count; i++)
    longest = from->length[i] > longest ? from->length[i] : longest;
  axis->count = (from->count + QUAD - 1) / QUAD * QUAD;
  axis->groups = (longest + GROUP - 1) / GROUP;
  if (!size_multiply(axis->count, axis->groups, &cells))
    return false;
  axis->first = calloc(axis->count, sizeof *axis->first);
  axis->weights = calloc(cells, sizeof *axis->weights);
  if (!axis->first || !axis->weights)
    return false;
  for (size_t i = 0; i < from->count; i++) {
    struct group_weights *weights = axis->weights + i * axis->groups;
    axis->first[i] = from->first[i];
    for (size_t j = 0; j < from->length[i]; j++)
      split(from->value[i * from->span + j], &weights[j / GROUP], j % GROUP);
  }
  return true;
}

static void byte_axis_free(struct byte_axis *axis) {
  free(axis->first);
  free(axis->weights);
}

/* ---- the two passes -------------------------------------------------------------------------- */

struct sums {
  __m256i high, middle, low;
};

WITH_VNNI struct sums begin(void) {
  const __m256i half = _mm256_set1_epi32(1 << (RESAMPLE_WEIGHT_BITS - 1)); /* rounds */
  return (struct sums){_mm256_setzero_si256(), _mm256_setzero_si256(), half};
}

WITH_VNNI __m256i repeat(const int8_t bytes[GROUP]) {
  int32_t four;
  memcpy(&four, bytes, sizeof four);
  return _mm256_set1_epi32(four);
}

WITH_VNNI void add_group(struct sums *sums, __m256i samples, const struct group_weights *weights) {
  sums->high = _mm256_dpbusd_epi32(sums->high, samples, repeat(weights->high));
  sums->middle = _mm256_dpbusd_epi32(sums->middle, samples, repeat(weights->middle));
  sums->low = _mm256_dpbusd_epi32(sums->low, samples, repeat(weights->low));
}

/* The sums become numbers that are levels once they are clipped. */
WITH_VNNI __m256i join(const struct sums *sums) {
  __m256i upper = _mm256_add_epi32(_mm256_slli_epi32(sums->high, 8), sums->middle);
  __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(upper, 8), sums->low);
  return _mm256_srai_epi32(sum, RESAMPLE_WEIGHT_BITS);
}

/* Four vectors of numbers become bytes, clipped, half by half. */
WITH_VNNI __m256i clip(const __m256i numbers[4]) {
  return _mm256_packus_epi16(_mm256_packs_epi32(numbers[0], numbers[1]),
                             _mm256_packs_epi32(numbers[2], numbers[3]));
}

WITH_VNNI __m256i load_pair(const uint8_t *low, const uint8_t *high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)low)),
                                 _mm_loadu_si128((const __m128i *)high), 1);
}

/* Four neighbouring pixels, channel by channel; and the inverse of that for four results. */
WITH_VNNI __m256i channel_order(size_t channels) {
  return _mm256_broadcastsi128_si256(
      channels == 3 ? _mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1)
                    : _mm_setr_epi8(0, 1, 2, 3, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
}

WITH_VNNI __m256i pixel_order(size_t channels) {
  return _mm256_broadcastsi128_si256(
      channels == 3 ? _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)
                    : _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
}

/* Two rows along x. Every store but a row's last ends in bytes that the next one overwrites. */
WITH_VNNI void scale_rows(const struct byte_axis *x_axis, size_t groups, size_t channels,
                          const uint8_t *const rows[2], uint8_t *const results[2]) {
  const __m256i by_channel = channel_order(channels), by_pixel = pixel_order(channels);
  for (size_t x = 0; x < x_axis->count; x += QUAD) {
    __m256i numbers[QUAD];
    UNROLL for (size_t i = 0; i < QUAD; i++) {
      const struct group_weights *weights = x_axis->weights + (x + i) * groups;
      size_t at = x_axis->first[x + i] * channels;
      struct sums sums = begin();
      for (size_t group = 0; group < groups; group++, at += GROUP * channels)
        add_group(&sums, _mm256_shuffle_epi8(load_pair(rows[0] + at, rows[1] + at), by_channel),
                  &weights[group]);
      numbers[i] = join(&sums);
    }
    __m256i pixels = _mm256_shuffle_epi8(clip(numbers), by_pixel);
    _mm_storeu_si128((__m128i *)(results[0] + x * channels), _mm256_castsi256_si128(pixels));
    _mm_storeu_si128((__m128i *)(results[1] + x * channels), _mm256_extracti128_si256(pixels, 1));
  }
}

/* 32 samples of a result row, from rows `stride` apart. */
WITH_VNNI __m256i scale_strip(const struct group_weights *weights, size_t groups,
                              const uint8_t *rows, size_t stride) {
  struct sums sums[4] = {begin(), begin(), begin(), begin()};
  for (size_t group = 0; group < groups; group++, rows += GROUP * stride) {
    __m256i row[GROUP];
    UNROLL for (size_t i = 0; i < GROUP; i++) {
      row[i] = _mm256_loadu_si256((const __m256i *)(rows + i * stride));
    }
    __m256i left[2] = {_mm256_unpacklo_epi8(row[0], row[1]), _mm256_unpacklo_epi8(row[2], row[3])};
    __m256i right[2] = {_mm256_unpackhi_epi8(row[0], row[1]), _mm256_unpackhi_epi8(row[2], row[3])};
    add_group(&sums[0], _mm256_unpacklo_epi16(left[0], left[1]), &weights[group]);
    add_group(&sums[1], _mm256_unpackhi_epi16(left[0], left[1]), &weights[group]);
    add_group(&sums[2], _mm256_unpacklo_epi16(right[0], right[1]), &weights[group]);
    add_group(&sums[3], _mm256_unpackhi_epi16(right[0], right[1]), &weights[group]);
  }
  const __m256i numbers[4] = {join(&sums[0]), join(&sums[1]), join(&sums[2]), join(&sums[3])};
  return clip(numbers);
}

enum { STRIP = 32 };

WITH_VNNI void scale_column(const struct byte_passes *passes, size_t y, const uint8_t *rows,
                            uint8_t *result, size_t row_bytes) {
  size_t groups = passes->y.groups;
  const struct group_weights *weights = passes->y.weights + y * groups;
  size_t at = 0;
  for (; row_bytes - at >= STRIP; at += STRIP)
    _mm256_storeu_si256((__m256i *)(result + at),
                        scale_strip(weights, groups, rows + at, passes->stride));
  if (at < row_bytes) {
    __m256i strip = scale_strip(weights, groups, rows + at, passes->stride);
    memcpy(result + at, &strip, row_bytes - at);
  }
}

/* Source row number i of those needed, in place or copied to where more may be read. */
static const uint8_t *source_row(const struct resampling *r, const struct byte_passes *passes,
                                 size_t i, uint8_t *edge) {
  const struct vqct_image *image = r->image;
  size_t row_bytes = image->width * (size_t)image->channels;
  const uint8_t *row = image->pixels + (r->top + i) * row_bytes;
  if ((image->height - r->top - i) * row_bytes >= passes->reach)
    return row;
  return memcpy(edge, row, row_bytes);
}

__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))) static void
run_passes(const struct resampling *r, const struct byte_passes *passes) {
  size_t channels = r->image->channels, row_bytes = r->result->width * channels;
  for (size_t i = 0; i < r->rows; i += 2) { /* an odd last one comes twice */
    size_t next = i + 1 < r->rows ? i + 1 : i;
    const uint8_t *const rows[2] = {source_row(r, passes, i, passes->edge),
                                    source_row(r, passes, next, passes->edge + passes->reach)};
    uint8_t *const results[2] = {passes->middle + i * passes->stride,
                                 passes->middle + (i + 1) * passes->stride};
    /* Numbers that the compiler knows, for what is reduced to about 1/2 to 4/5. */
    if (channels == 3 && passes->x.groups == 2)
      scale_rows(&passes->x, 2, 3, rows, results);
    else
      scale_rows(&passes->x, passes->x.groups, channels, rows, results);
  }
  for (size_t y = 0; y < r->result->height; y++)
    scale_column(passes, y, passes->middle + (passes->y.first[y] - r->top) * passes->stride,
                 r->result->pixels + y * row_bytes, row_bytes);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool passes_make(struct byte_passes *passes, const struct resampling *r) {
  size_t channels = r->image->channels, after, bytes;
  if (!byte_axis_make(&passes->x, &r->x) || !byte_axis_make(&passes->y, &r->y))
    return false;
  passes->reach = (r->image->width + passes->x.groups * GROUP) * channels + sizeof(__m128i);
  passes->stride = (passes->x.count * channels + sizeof(__m128i) + STRIP - 1) / STRIP * STRIP;
  after = GROUP * passes->y.groups;
  if (!size_multiply(r->rows + after, passes->stride, &bytes))
    return false;
  passes->edge = calloc(2, passes->reach);
  passes->middle = malloc(bytes);
  if (!passes->edge || !passes->middle)
    return false;
  memset(passes->middle + r->rows * passes->stride, 0, after * passes->stride);
  return true;
}

bool resample_bytes_possible(enum cpu_isa isa) {
  return isa >= CPU_AVX512 && __builtin_cpu_supports("avx512vnni");
}

bool resample_bytes(const struct resampling *r) {
  struct byte_passes passes = {0};
  bool made = passes_make(&passes, r);
  if (made)
    run_passes(r, &passes);
  free(passes.middle);
  free(passes.edge);
  byte_axis_free(&passes.x);
  byte_axis_free(&passes.y);
  return made;
}

#else

bool resample_bytes_possible(enum cpu_isa isa) {
  (void)isa;
  return false;
}

bool resample_bytes(const struct resampling *r) {
  (void)r;
  return false;
}

#endif
