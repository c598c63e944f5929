/* The exponential function of a vector, and what is made of it. */
#ifndef KERNELS_EXPONENTIAL_H
#define KERNELS_EXPONENTIAL_H

#include "size.h"
#include "vector.h"

/* x, but of no greater size than the bound. A NaN may become the bound. */
ALWAYS_INLINE vector within(vector x, float bound) {
#if defined(SIMD_ISA_avx512)
  return (vector)_mm512_range_ps((__m512)x, (__m512)broadcast(bound), 2); /* the smaller size */
#else
  return greater(lesser(x, broadcast(bound)), broadcast(-bound));
#endif
}

/* e^-x as 2^n e^-s. */
struct exponent {
  vector power, s;
};

/* For x in [-87, 87], beyond which it stays at the ends: n = round(-x / ln 2), so that |s| <=
 * ln(2)/2. Adding 1.5 * 2^23 + 127 rounds to the integer that the low bits then hold, with the bias
 * of an exponent. Where products are not fused, ln 2 is split in two so that n times the first part
 * is exact. */
ALWAYS_INLINE struct exponent exponent_minus(vector x) {
  const vector rounder = broadcast(12582912.0F + 127);
  x = within(x, 87);
  vector shifted = minus_product(x, broadcast(1.44269504088896341F), rounder);
  vector n = shifted - rounder;
#if FUSED
  vector s = multiply_add(n, broadcast(0.69314718055994531F), x);
#else
  vector s = multiply_add(n, broadcast(0.693359375F), x);
  s = minus_product(n, broadcast(2.12194440e-4F), s);
#endif
  return (struct exponent){(vector)((vector_bits)shifted << 23), s};
}

/* 1 + e^-x: e^-s is a polynomial, within 1e-7. */
ALWAYS_INLINE vector divisor_of(struct exponent exponent) {
  const vector s = exponent.s;
  vector e = broadcast(-8.290229e-3F);
  e = multiply_add(e, s, broadcast(4.189839e-2F));
  e = multiply_add(e, s, broadcast(-1.666764e-1F));
  e = multiply_add(e, s, broadcast(4.9999145e-1F));
  e = multiply_add(e, s, broadcast(-9.999997e-1F));
  e = multiply_add(e, s, broadcast(1.0F));
  return multiply_add(e, exponent.power, broadcast(1.0F));
}

/* 1 / d for d from 1 on. It is no division, which takes longer, nor the processor's own
 * approximation, whose bits differ between makers: the difference of two bit patterns is within
 * 5%, a step of Newton's (its constant halves the error) leaves 1.3e-3 and one of Halley's 3e-9. */
ALWAYS_INLINE vector inverse(vector d) {
  vector r = (vector)(0x7EF31000 - (vector_bits)d);
  r *= minus_product(d, r, broadcast(2.00128F));
  vector error = minus_product(d, r, broadcast(1.0F));
  return multiply_add(multiply_add(error, error, error), r, r);
}

#define SWISH_GROUP  8    /* vectors, at most */
#define STRIP_FLOATS 4096 /* which stay in the first cache */

/* Pixels whose vectors of the same channels follow one another. */
ALWAYS_INLINE size_t swish_strip(size_t channels) {
  return size_most(STRIP_FLOATS / channels, SWISH_GROUP);
}

/* d = 1 + e^-x of `count` vectors. All of them take a step before any takes the next, as in what
 * is made of d: within one, every operation waits for the one before, and a processor looks ahead
 * by some 60 of them. */
ALWAYS_INLINE void swish_divisors(const vector *x, vector *d, const size_t count) {
  struct exponent exponent[SWISH_GROUP];
  UNROLL for (size_t i = 0; i < count; i++) {
    exponent[i] = exponent_minus(x[i]);
  }
  UNROLL for (size_t i = 0; i < count; i++) {
    d[i] = divisor_of(exponent[i]);
  }
}

/* x / (1 + e^-x) of `count` vectors. */
ALWAYS_INLINE void swish(vector *x, const size_t count) {
  vector d[SWISH_GROUP];
  swish_divisors(x, d, count);
  UNROLL for (size_t i = 0; i < count; i++) {
    x[i] *= inverse(d[i]);
  }
}

#endif
