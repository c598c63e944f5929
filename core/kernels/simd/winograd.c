/* Transforms of the forward pass, for each of the minimal filtering algorithms. */
#include "emit.h"
#include "transform.h"
#include "winograd_steps.h"

ALWAYS_INLINE void add_columns(struct short_sums *sums, const size_t columns) {
  UNROLL for (size_t j = 1; j < columns; j++) {
    sums[0].sum += sums[j].sum;
    sums[0].square += sums[j].square;
  }
}

/* One vector of channels of a whole tile. Sums run down each column, so that one need not wait for
 * another. */
ALWAYS_INLINE void write_whole(step *apply, const size_t tile, const bool residual,
                               vector half[SIDE_MAX][SIDE_MAX], const struct epilogue *e,
                               size_t channel) {
  const vector bias = load(e->bias + channel);
  struct short_sums sums[SIDE_MAX] = {{{0}, {0}}};
  ROLLED for (size_t i = 0; i < tile; i++) {
    vector line[SIDE_MAX];
    apply(half[i], line);
    UNROLL for (size_t j = 0; j < tile; j++) {
      emit(e, residual, i, j, channel, LANES, line[j] + bias, &sums[j]);
    }
  }
  add_columns(sums, tile);
  flush_sums(e, channel, sums);
}

/* The same of a tile cut at an edge, or of channels that do not fill the vector. */
ALWAYS_INLINE void write_part(step *apply, const size_t tile, vector half[SIDE_MAX][SIDE_MAX],
                              const struct epilogue *e, size_t channel) {
  const vector bias = load(e->bias + channel);
  struct short_sums sums[SIDE_MAX] = {{{0}, {0}}};
  for (size_t i = 0; i < e->rows; i++) {
    vector line[SIDE_MAX];
    apply(half[i], line);
    for (size_t j = 0; j < tile && j < e->columns; j++)
      emit(e, e->residual, i, j, channel, e->channels - channel, line[j] + bias, &sums[j]);
  }
  add_columns(sums, tile);
  flush_sums(e, channel, sums);
}

ALWAYS_INLINE void output(step *apply, const size_t side, const size_t tile, const float *points,
                          size_t point_stride, const struct epilogue *epilogue) {
  const struct epilogue e = *epilogue; /* which stores cannot change */
  const bool full = e.rows == tile && e.columns == tile;
  for (size_t c = 0; c < e.channels; c += LANES) {
    vector half[SIDE_MAX][SIDE_MAX];
    transform_columns(apply, side, tile, points + c, side * point_stride, point_stride, half);
    if (!full || e.channels - c < LANES)
      write_part(apply, tile, half, &e, c);
    else if (e.residual)
      write_whole(apply, tile, true, half, &e, c);
    else
      write_whole(apply, tile, false, half, &e, c);
  }
}

/* The three functions of one algorithm: numbers that a tile reads, its points and its outputs along
 * a side. */
#define ALGORITHM(kind, window, side, tile)                                                        \
  static void input_##kind(const float *from, size_t row_stride, size_t pixel_stride,              \
                           size_t channels, float *points, size_t point_stride) {                  \
    for (size_t c = 0; c < channels; c += LANES)                                                   \
      transform(input_step_##kind, window, side, from + c, row_stride, pixel_stride,               \
                (struct matrix){points + c, (side)*point_stride, point_stride});                   \
  }                                                                                                \
  static void output_##kind(const float *points, size_t point_stride, const struct epilogue *e) {  \
    output(output_step_##kind, side, tile, points, point_stride, e);                               \
  }                                                                                                \
  static void weight_##kind(const float *taps, size_t tap_stride, size_t vectors, float *points,   \
                            size_t point_stride) {                                                 \
    for (size_t c = 0; c < vectors * LANES; c += LANES)                                            \
      transform(weight_step_##kind, 3, side, taps + c, 3 * tap_stride, tap_stride,                 \
                (struct matrix){points + c, (side)*point_stride, point_stride});                   \
  }

ALGORITHM(4, 6, 6, 4)
ALGORITHM(6, 8, 8, 6)
ALGORITHM(up_4, 4, 5, 4)
ALGORITHM(up_6, 5, 7, 6)
ALGORITHM(down, 9, 9, 4)

const struct winograd SIMD_NAME(winograd)[WINOGRAD_KINDS] = {
    [WINOGRAD_4] = {6, 4, 4, 36, input_4, output_4, weight_4, SIMD_NAME(gradient_4),
                    SIMD_NAME(weight_gradient_4)},
    [WINOGRAD_6] = {8, 6, 6, 64, input_6, output_6, weight_6, SIMD_NAME(gradient_6),
                    SIMD_NAME(weight_gradient_6)},
    [WINOGRAD_UP_4] = {4, 2, 4, 25, input_up_4, output_up_4, weight_up_4, NULL, NULL},
    [WINOGRAD_UP_6] = {5, 3, 6, 49, input_up_6, output_up_6, weight_up_6, NULL, NULL},
    [WINOGRAD_DOWN] = {9, 8, 4, 81, input_down, output_down, weight_down, NULL, NULL},
};
