/* Transforms of Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, CVPR 2016), with the
 * interpolation points 0, 1, -1, 2, -2 and infinity. Channels run along the vectors. */
#include "emit.h"

/* B' d: 6 numbers to 6. */
static inline void input_step(const vector *d, vector *t) {
  vector even = d[4] - 4.0F * d[2], odd = d[3] - 4.0F * d[1];
  vector even2 = d[4] - d[2], odd2 = 2.0F * (d[3] - d[1]);
  t[0] = 4.0F * d[0] - 5.0F * d[2] + d[4];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = even2 + odd2;
  t[4] = even2 - odd2;
  t[5] = 4.0F * d[1] - 5.0F * d[3] + d[5];
}

/* A' m: 6 numbers to 4. */
ALWAYS_INLINE void output_step(const vector *m, vector *y) {
  vector sum = m[1] + m[2], difference = m[1] - m[2];
  vector sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  y[0] = m[0] + sum + sum2;
  y[1] = difference + 2.0F * difference2;
  y[2] = sum + 4.0F * sum2;
  y[3] = difference + 8.0F * difference2 + m[5];
}

/* A g: 4 numbers to 6. */
static inline void gradient_step(const vector *g, vector *t) {
  vector even = g[0] + g[2], odd = g[1] + g[3];
  vector even2 = g[0] + 4.0F * g[2], odd2 = 2.0F * g[1] + 8.0F * g[3];
  t[0] = g[0];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = even2 + odd2;
  t[4] = even2 - odd2;
  t[5] = g[3];
}

/* G w: 3 numbers to 6. */
static inline void weight_step(const vector *w, vector *t) {
  vector ends = (w[0] + w[2]) * (1.0F / 6), middle = w[1] * (1.0F / 6);
  vector ends2 = w[0] * (1.0F / 24) + w[2] * (1.0F / 6), middle2 = w[1] * (1.0F / 12);
  t[0] = w[0] * 0.25F;
  t[1] = -ends - middle;
  t[2] = middle - ends;
  t[3] = ends2 + middle2;
  t[4] = ends2 - middle2;
  t[5] = w[2];
}

/* G' s: 6 numbers to 3. */
static inline void weight_gradient_step(const vector *s, vector *w) {
  vector sum = s[1] + s[2], sum2 = s[3] + s[4];
  w[0] = s[0] * 0.25F - sum * (1.0F / 6) + sum2 * (1.0F / 24);
  w[1] = (s[2] - s[1]) * (1.0F / 6) + (s[3] - s[4]) * (1.0F / 12);
  w[2] = (sum2 - sum) * (1.0F / 6) + s[5];
}

/* One of the steps above, which the compiler puts in place of the call. */
typedef void step(const vector *from, vector *to);

/* A matrix of numbers, one in each lane: where it begins, and the floats between its rows and
 * between its columns. */
struct matrix {
  float *data;
  size_t row, column;
};

/* Applies a step to all columns of a square matrix and then to all rows of the result. */
ALWAYS_INLINE void transform(step *apply, const size_t from_side, const size_t to_side,
                             const float *from, size_t row, size_t column, struct matrix to) {
  vector half[6][6];
  UNROLL for (size_t j = 0; j < from_side; j++) {
    vector line[6], result[6];
    UNROLL for (size_t i = 0; i < from_side; i++) {
      line[i] = load(from + i * row + j * column);
    }
    apply(line, result);
    UNROLL for (size_t i = 0; i < to_side; i++) {
      half[i][j] = result[i];
    }
  }
  UNROLL for (size_t i = 0; i < to_side; i++) {
    vector result[6];
    apply(half[i], result);
    UNROLL for (size_t j = 0; j < to_side; j++) {
      store(to.data + i * to.row + j * to.column, result[j]);
    }
  }
}

void SIMD_NAME(winograd_input)(const float *window, size_t row_stride, size_t pixel_stride,
                               size_t channels, float *points, size_t point_stride) {
  for (size_t c = 0; c < channels; c += LANES)
    transform(input_step, 6, 6, window + c, row_stride, pixel_stride,
              (struct matrix){points + c, 6 * point_stride, point_stride});
}

void SIMD_NAME(winograd_gradient)(const float *tile, size_t row_stride, size_t pixel_stride,
                                  size_t channels, float *points, size_t point_stride) {
  for (size_t c = 0; c < channels; c += LANES)
    transform(gradient_step, 4, 6, tile + c, row_stride, pixel_stride,
              (struct matrix){points + c, 6 * point_stride, point_stride});
}

void SIMD_NAME(winograd_weight)(const float *taps, size_t tap_stride, size_t vectors, float *points,
                                size_t point_stride) {
  for (size_t c = 0; c < vectors * LANES; c += LANES)
    transform(weight_step, 3, 6, taps + c, 3 * tap_stride, tap_stride,
              (struct matrix){points + c, 6 * point_stride, point_stride});
}

void SIMD_NAME(winograd_weight_gradient)(const float *points, size_t point_stride, size_t vectors,
                                         float *taps, size_t tap_stride) {
  for (size_t c = 0; c < vectors * LANES; c += LANES)
    transform(weight_gradient_step, 6, 3, points + c, 6 * point_stride, point_stride,
              (struct matrix){taps + c, 3 * tap_stride, tap_stride});
}

/* One vector of channels of a tile: 4 x 4 numbers. */
ALWAYS_INLINE void output_tile(const float *points, size_t point_stride, vector tile[4][4]) {
  vector half[4][6];
  UNROLL for (size_t j = 0; j < 6; j++) {
    vector column[6], result[4];
    UNROLL for (size_t i = 0; i < 6; i++) {
      column[i] = load(points + (i * 6 + j) * point_stride);
    }
    output_step(column, result);
    UNROLL for (size_t i = 0; i < 4; i++) {
      half[i][j] = result[i];
    }
  }
  UNROLL for (size_t i = 0; i < 4; i++) {
    output_step(half[i], tile[i]);
  }
}

void SIMD_NAME(winograd_output)(const float *points, size_t point_stride,
                                const struct epilogue *e) {
  for (size_t c = 0; c < e->channels; c += LANES) {
    vector tile[4][4], bias = load(e->bias + c);
    struct short_sums sums = {{0}, {0}};
    output_tile(points + c, point_stride, tile);
    if (e->rows == 4 && e->columns == 4 && e->channels - c >= LANES) {
      UNROLL for (size_t i = 0; i < 4; i++) {
        UNROLL for (size_t j = 0; j < 4; j++) {
          emit(e, i, j, c, tile[i][j] + bias, &sums);
        }
      }
    } else {
      for (size_t i = 0; i < e->rows; i++)
        for (size_t j = 0; j < e->columns; j++)
          emit(e, i, j, c, tile[i][j] + bias, &sums);
    }
    flush_sums(e, c, &sums);
  }
}
