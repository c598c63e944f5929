/* Transforms of F(4x4, 3x3) and F(6x6, 3x3) for the gradient of the weights: those of the forward
 * pass turned around (winograd_steps.h). */
#include "transform.h"

/* A g: 4 numbers to 6. */
ALWAYS_INLINE void gradient_step_4(const vector *g, vector *t) {
  vector even = g[0] + g[2], odd = g[1] + g[3];
  vector even2 = scaled_plus(4, g[2], g[0]), odd2 = scaled_plus(8, g[3], 2.0F * g[1]);
  t[0] = g[0];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = even2 + odd2;
  t[4] = even2 - odd2;
  t[5] = g[3];
}

/* G' s: 6 numbers to 3. */
ALWAYS_INLINE void weight_gradient_step_4(const vector *s, vector *w) {
  vector sum = s[1] + s[2], sum2 = s[3] + s[4];
  w[0] = scaled_plus(1.0F / 24, sum2, scaled_plus(-1.0F / 6, sum, s[0] * 0.25F));
  w[1] = scaled_plus(1.0F / 6, s[2] - s[1], (s[3] - s[4]) * (1.0F / 12));
  w[2] = scaled_plus(1.0F / 6, sum2 - sum, s[5]);
}

/* A g: 6 numbers to 8. */
ALWAYS_INLINE void gradient_step_6(const vector *g, vector *t) {
  vector even = g[0] + g[2] + g[4], odd = g[1] + g[3] + g[5];
  vector even2 = scaled_plus(16, g[4], scaled_plus(4, g[2], g[0]));
  vector odd2 = scaled_plus(32, g[5], scaled_plus(8, g[3], 2.0F * g[1]));
  vector even3 = scaled_plus(0.0625F, g[4], scaled_plus(0.25F, g[2], g[0]));
  vector odd3 = scaled_plus(0.03125F, g[5], scaled_plus(0.125F, g[3], 0.5F * g[1]));
  t[0] = g[0];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = even2 + odd2;
  t[4] = even2 - odd2;
  t[5] = even3 + odd3;
  t[6] = even3 - odd3;
  t[7] = g[5];
}

/* G' s: 8 numbers to 3. */
ALWAYS_INLINE void weight_gradient_step_6(const vector *s, vector *w) {
  vector sum = s[1] + s[2], sum2 = s[3] + s[4], sum3 = s[5] + s[6];
  w[0] = scaled_plus(32.0F / 45, sum3,
                     scaled_plus(1.0F / 90, sum2, scaled_plus(-2.0F / 9, sum, -s[0])));
  w[1] = scaled_plus(16.0F / 45, s[5] - s[6],
                     scaled_plus(2.0F / 9, s[2] - s[1], (s[3] - s[4]) * (1.0F / 45)));
  w[2] =
      scaled_plus(8.0F / 45, sum3, scaled_plus(2.0F / 45, sum2, scaled_plus(-2.0F / 9, sum, s[7])));
}

/* Both functions of one algorithm: points and pixels of a tile along a side. */
#define ALGORITHM(kind, side, tile)                                                                \
  void SIMD_NAME(gradient_##kind)(const float *from, size_t row_stride, size_t pixel_stride,       \
                                  size_t channels, float *points, size_t point_stride) {           \
    for (size_t c = 0; c < channels; c += LANES)                                                   \
      transform(gradient_step_##kind, tile, side, from + c, row_stride, pixel_stride,              \
                (struct matrix){points + c, (side)*point_stride, point_stride});                   \
  }                                                                                                \
  void SIMD_NAME(weight_gradient_##kind)(const float *points, size_t point_stride, size_t vectors, \
                                         float *taps, size_t tap_stride) {                         \
    for (size_t c = 0; c < vectors * LANES; c += LANES)                                            \
      transform(weight_gradient_step_##kind, side, 3, points + c, (side)*point_stride,             \
                point_stride, (struct matrix){taps + c, 3 * tap_stride, tap_stride});              \
  }

ALGORITHM(4, 6, 4)
ALGORITHM(6, 8, 6)
