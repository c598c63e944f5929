/* Transforms of the forward pass, for each of the minimal filtering algorithms. */
#include "emit.h"
#include "transform.h"
#include "winograd_steps.h"

ALWAYS_INLINE void output(step *apply, const size_t side, const size_t tile, const float *points,
                          size_t point_stride, const struct epilogue *e) {
  for (size_t c = 0; c < e->channels; c += LANES) {
    vector half[SIDE_MAX][SIDE_MAX], bias = load(e->bias + c);
    struct short_sums sums = {{0}, {0}};
    transform_columns(apply, side, tile, points + c, side * point_stride, point_stride, half);
    if (e->rows == tile && e->columns == tile && e->channels - c >= LANES) {
      UNROLL for (size_t i = 0; i < tile; i++) {
        vector line[SIDE_MAX];
        apply(half[i], line);
        UNROLL for (size_t j = 0; j < tile; j++) {
          emit(e, i, j, c, line[j] + bias, &sums);
        }
      }
    } else {
      for (size_t i = 0; i < e->rows; i++) {
        vector line[SIDE_MAX];
        apply(half[i], line);
        for (size_t j = 0; j < e->columns; j++)
          emit(e, i, j, c, line[j] + bias, &sums);
      }
    }
    flush_sums(e, c, &sums);
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
ALGORITHM(up, 6, 10, 8)
ALGORITHM(down, 9, 9, 4)

const struct winograd SIMD_NAME(winograd)[WINOGRAD_KINDS] = {
    [WINOGRAD_4] = {6, 4, 4, 36, input_4, output_4, weight_4},
    [WINOGRAD_6] = {8, 6, 6, 64, input_6, output_6, weight_6},
    [WINOGRAD_UP] = {6, 4, 8, 100, input_up, output_up, weight_up},
    [WINOGRAD_DOWN] = {9, 8, 4, 81, input_down, output_down, weight_down},
};
