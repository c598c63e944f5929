/* Transforms of F(4x4, 3x3) for the gradient of the weights: those of the forward pass turned
 * around. */
#include "transform.h"

/* A g: 4 numbers to 6. */
ALWAYS_INLINE void gradient_step(const vector *g, vector *t) {
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
ALWAYS_INLINE void weight_gradient_step(const vector *s, vector *w) {
  vector sum = s[1] + s[2], sum2 = s[3] + s[4];
  w[0] = scaled_plus(1.0F / 24, sum2, scaled_plus(-1.0F / 6, sum, s[0] * 0.25F));
  w[1] = scaled_plus(1.0F / 6, s[2] - s[1], (s[3] - s[4]) * (1.0F / 12));
  w[2] = scaled_plus(1.0F / 6, sum2 - sum, s[5]);
}

void SIMD_NAME(winograd_gradient)(const float *tile, size_t row_stride, size_t pixel_stride,
                                  size_t channels, float *points, size_t point_stride) {
  for (size_t c = 0; c < channels; c += LANES)
    transform(gradient_step, 4, 6, tile + c, row_stride, pixel_stride,
              (struct matrix){points + c, 6 * point_stride, point_stride});
}

void SIMD_NAME(winograd_weight_gradient)(const float *points, size_t point_stride, size_t vectors,
                                         float *taps, size_t tap_stride) {
  for (size_t c = 0; c < vectors * LANES; c += LANES)
    transform(weight_gradient_step, 6, 3, points + c, 6 * point_stride, point_stride,
              (struct matrix){taps + c, 3 * tap_stride, tap_stride});
}
