/* One-dimensional steps of minimal filtering (Winograd 1980; Lavin and Gray, CVPR 2016): B' d takes
 * a window of input to points, G w the taps, and A' m the products of both to outputs.
 *
 *   F(4,3)  4 outputs of 3 taps from 6 points: 0, 1, -1, 2, -2, infinity
 *   F(6,3)  6 outputs of 3 taps from 8 points: those, 1/2 and -1/2
 *   up 4,   those two over numbers that each stand twice, tiles beginning with a pair: point -1 of
 *   up 6    the input is 0, and those of 2 and -2, as of 1/2 and -1/2, are multiples of one number,
 *           whose products are needed as sum and difference: the taps are transformed to these
 *   F(4,2)  4 outputs of 2 taps from 5 points: 0, 1, -1, 2, infinity
 *   down    4 outputs of 3 taps, two numbers further each: taps w0 and w2 over the even numbers
 *           through F(4,2), and tap w1 over the odd ones as it is: 5 + 4 points
 *
 * Two-dimensional forms apply a step to columns and then to rows (transform.h). */
#ifndef KERNELS_WINOGRAD_STEPS_H
#define KERNELS_WINOGRAD_STEPS_H

#include "vector.h"

/* ---- F(4,3) --------------------------------------------------------------------------------- */

ALWAYS_INLINE void input_step_4(const vector *d, vector *t) {
  vector even = scaled_plus(-4, d[2], d[4]), odd = scaled_plus(-4, d[1], d[3]);
  vector even2 = d[4] - d[2], odd2 = d[3] - d[1];
  t[0] = scaled_plus(4, d[0], scaled_plus(-5, d[2], d[4]));
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = scaled_plus(2, odd2, even2);
  t[4] = scaled_plus(-2, odd2, even2);
  t[5] = scaled_plus(4, d[1], scaled_plus(-5, d[3], d[5]));
}

ALWAYS_INLINE void output_step_4(const vector *m, vector *y) {
  vector sum = m[1] + m[2], difference = m[1] - m[2];
  vector sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  y[0] = m[0] + sum + sum2;
  y[1] = scaled_plus(2, difference2, difference);
  y[2] = scaled_plus(4, sum2, sum);
  y[3] = scaled_plus(8, difference2, difference) + m[5];
}

ALWAYS_INLINE void weight_step_4(const vector *w, vector *t) {
  vector ends = (w[0] + w[2]) * (1.0F / 6), middle = w[1] * (1.0F / 6);
  vector ends2 = scaled_plus(1.0F / 24, w[0], w[2] * (1.0F / 6)), middle2 = w[1] * (1.0F / 12);
  t[0] = w[0] * 0.25F;
  t[1] = -ends - middle;
  t[2] = middle - ends;
  t[3] = ends2 + middle2;
  t[4] = ends2 - middle2;
  t[5] = w[2];
}

/* ---- F(6,3) --------------------------------------------------------------------------------- */

ALWAYS_INLINE void input_step_6(const vector *d, vector *t) {
  vector even = scaled_plus(-4.25F, d[4], d[2] + d[6]);
  vector odd = scaled_plus(-4.25F, d[3], d[1] + d[5]);
  vector even2 = scaled_plus(-1.25F, d[4], scaled_plus(0.25F, d[2], d[6]));
  vector odd2 = scaled_plus(2, d[5], scaled_plus(-2.5F, d[3], d[1] * 0.5F));
  vector even3 = scaled_plus(4, scaled_plus(-1.25F, d[4], d[2]), d[6]);
  vector odd3 = scaled_plus(2, d[1], scaled_plus(-2.5F, d[3], d[5] * 0.5F));
  t[0] = scaled_plus(5.25F, d[2] - d[4], d[6] - d[0]);
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = even2 + odd2;
  t[4] = even2 - odd2;
  t[5] = even3 + odd3;
  t[6] = even3 - odd3;
  t[7] = scaled_plus(5.25F, d[3] - d[5], d[7] - d[1]);
}

ALWAYS_INLINE void output_step_6(const vector *m, vector *y) {
  vector sum = m[1] + m[2], difference = m[1] - m[2];
  vector sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  vector sum3 = m[5] + m[6], difference3 = m[5] - m[6];
  y[0] = m[0] + sum + (sum2 + sum3);
  y[1] = scaled_plus(0.5F, difference3, scaled_plus(2, difference2, difference));
  y[2] = scaled_plus(0.25F, sum3, scaled_plus(4, sum2, sum));
  y[3] = scaled_plus(0.125F, difference3, scaled_plus(8, difference2, difference));
  y[4] = scaled_plus(0.0625F, sum3, scaled_plus(16, sum2, sum));
  y[5] = scaled_plus(0.03125F, difference3, scaled_plus(32, difference2, difference)) + m[7];
}

ALWAYS_INLINE void weight_step_6(const vector *w, vector *t) {
  vector ends = (w[0] + w[2]) * (-2.0F / 9), middle = w[1] * (2.0F / 9);
  vector ends2 = scaled_plus(4, w[2], w[0]) * (1.0F / 90), middle2 = w[1] * (1.0F / 45);
  vector ends3 = scaled_plus(4, w[0], w[2]) * (8.0F / 45), middle3 = w[1] * (16.0F / 45);
  t[0] = -w[0];
  t[1] = ends - middle;
  t[2] = ends + middle;
  t[3] = ends2 + middle2;
  t[4] = ends2 - middle2;
  t[5] = ends3 + middle3;
  t[6] = ends3 - middle3;
  t[7] = w[2];
}

/* ---- Upsampled input ------------------------------------------------------------------------ */

ALWAYS_INLINE void input_step_up_4(const vector *d, vector *t) {
  t[0] = scaled_plus(4, d[0], scaled_plus(-5, d[1], d[2]));
  t[1] = scaled_plus(-4, d[1], d[2]);
  t[2] = t[3] = d[2] - d[1];
  t[4] = scaled_plus(4, d[1], scaled_plus(-5, d[2], d[3]));
}

ALWAYS_INLINE void output_step_up_4(const vector *m, vector *y) {
  y[0] = m[0] + m[1] + m[2];
  y[1] = scaled_plus(2, m[3], m[1]);
  y[2] = scaled_plus(4, m[2], m[1]);
  y[3] = scaled_plus(8, m[3], m[1]) + m[4];
}

ALWAYS_INLINE void weight_step_up_4(const vector *w, vector *t) {
  vector ends = scaled_plus(0.25F, w[0], w[2]) * (1.0F / 3);
  t[0] = w[0] * 0.25F;
  t[1] = (w[0] + w[1] + w[2]) * (-1.0F / 3);
  t[2] = scaled_plus(1.0F / 3, w[1], ends);
  t[3] = scaled_plus(1.0F / 6, w[1], ends * 2.0F);
  t[4] = w[2];
}

ALWAYS_INLINE void input_step_up_6(const vector *d, vector *t) {
  t[0] = scaled_plus(5.25F, d[1] - d[2], d[3] - d[0]);
  t[1] = scaled_plus(-4.25F, d[2], d[1] + d[3]);
  t[2] = t[3] = scaled_plus(-1.25F, d[2], scaled_plus(0.25F, d[1], d[3]));
  t[4] = t[5] = scaled_plus(4, scaled_plus(-1.25F, d[2], d[1]), d[3]);
  t[6] = scaled_plus(5.25F, d[2] - d[3], d[4] - d[1]);
}

ALWAYS_INLINE void output_step_up_6(const vector *m, vector *y) {
  y[0] = m[0] + m[1] + (m[2] + m[4]);
  y[1] = scaled_plus(0.5F, m[5], scaled_plus(2, m[3], m[1]));
  y[2] = scaled_plus(0.25F, m[4], scaled_plus(4, m[2], m[1]));
  y[3] = scaled_plus(0.125F, m[5], scaled_plus(8, m[3], m[1]));
  y[4] = scaled_plus(0.0625F, m[4], scaled_plus(16, m[2], m[1]));
  y[5] = scaled_plus(0.03125F, m[5], scaled_plus(32, m[3], m[1])) + m[6];
}

ALWAYS_INLINE void weight_step_up_6(const vector *w, vector *t) {
  vector ends2 = scaled_plus(4, w[2], w[0]) * (1.0F / 45), middle2 = w[1] * (2.0F / 45);
  vector ends3 = scaled_plus(4, w[0], w[2]) * (8.0F / 45), middle3 = w[1] * (16.0F / 45);
  t[0] = -w[0];
  t[1] = (w[0] + w[1] + w[2]) * (-4.0F / 9);
  t[2] = scaled_plus(2, middle2, ends2);
  t[3] = scaled_plus(2, ends2, middle2);
  t[4] = scaled_plus(2, ends3, middle3);
  t[5] = scaled_plus(2, middle3, ends3);
  t[6] = w[2];
}

/* ---- Stride 2 ------------------------------------------------------------------------------- */

ALWAYS_INLINE void input_step_2(vector d0, vector d1, vector d2, vector d3, vector d4, vector *t) {
  vector outer = d3 - d1, inner = d3 - d2;
  t[0] = scaled_plus(2, d0 - d2, outer);
  t[1] = scaled_plus(-2, d1, inner);
  t[2] = scaled_plus(2, d1 - d2, inner);
  t[3] = outer;
  t[4] = scaled_plus(-2, outer, d4 - d2);
}

ALWAYS_INLINE void output_step_2(const vector *m, vector *y) {
  vector sum = m[1] + m[2], difference = m[1] - m[2];
  y[0] = m[0] + sum + m[3];
  y[1] = scaled_plus(2, m[3], difference);
  y[2] = scaled_plus(4, m[3], sum);
  y[3] = scaled_plus(8, m[3], difference) + m[4];
}

ALWAYS_INLINE void weight_step_2(vector w0, vector w1, vector *t) {
  t[0] = w0 * 0.5F;
  t[1] = (w0 + w1) * -0.5F;
  t[2] = (w1 - w0) * (1.0F / 6);
  t[3] = scaled_plus(2, w1, w0) * (1.0F / 6);
  t[4] = w1;
}

ALWAYS_INLINE void input_step_down(const vector *d, vector *t) {
  input_step_2(d[0], d[2], d[4], d[6], d[8], t);
  UNROLL for (size_t i = 0; i < 4; i++) {
    t[5 + i] = d[2 * i + 1];
  }
}

ALWAYS_INLINE void output_step_down(const vector *m, vector *y) {
  output_step_2(m, y);
  UNROLL for (size_t i = 0; i < 4; i++) {
    y[i] += m[5 + i];
  }
}

ALWAYS_INLINE void weight_step_down(const vector *w, vector *t) {
  weight_step_2(w[0], w[2], t);
  UNROLL for (size_t i = 0; i < 4; i++) {
    t[5 + i] = w[1];
  }
}

#endif
