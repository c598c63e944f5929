/* The exponential function of a vector, and what is made of it. */
#ifndef KERNELS_EXPONENTIAL_H
#define KERNELS_EXPONENTIAL_H

#include "vector.h"

/* Minimum and maximum of x and a bound that keep a NaN in x. */
ALWAYS_INLINE vector at_least(vector x, float bound) {
  return greater(broadcast(bound), x);
}

ALWAYS_INLINE vector at_most(vector x, float bound) {
  return lesser(broadcast(bound), x);
}

/* e^-x as 2^n e^-s: n where a number has its exponent, and s. */
struct exponent {
  vector_bits n;
  vector s;
};

/* For x in [-80, 87], beyond which it stays at the ends: n = round(-x / ln 2), so that |s| <=
 * ln(2)/2. Adding 1.5 * 2^23 rounds to the integer that the low bits then hold. ln 2 is split in
 * two so that n times the first part is exact. */
ALWAYS_INLINE struct exponent exponent_minus(vector x) {
  const vector rounder = broadcast(12582912.0F);
  x = at_most(at_least(x, -80.0F), 87.0F);
  vector shifted = minus_product(x, broadcast(1.44269504088896341F), rounder);
  vector n = shifted - rounder;
  vector s = multiply_add(n, broadcast(0.693359375F), x);
  s = minus_product(n, broadcast(2.12194440e-4F), s);
  return (struct exponent){(vector_bits)shifted << 23, s};
}

/* e^-s is a polynomial, within 1e-7, to whose exponent n is added. */
ALWAYS_INLINE vector exponential_of(struct exponent exponent) {
  const vector s = exponent.s;
  vector e = broadcast(-8.290229e-3F);
  e = multiply_add(e, s, broadcast(4.189839e-2F));
  e = multiply_add(e, s, broadcast(-1.666764e-1F));
  e = multiply_add(e, s, broadcast(4.9999145e-1F));
  e = multiply_add(e, s, broadcast(-9.999997e-1F));
  e = multiply_add(e, s, broadcast(1.0F));
  return (vector)((vector_bits)e + exponent.n);
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

/* 1 / (1 + e^-x). */
ALWAYS_INLINE vector sigmoid(vector x) {
  return inverse(exponential_of(exponent_minus(x)) + 1.0F);
}

#define SWISH_GROUP 8 /* vectors, at most */

/* d = 1 + e^-x of `count` vectors. All of them take a step before any takes the next, as in what
 * is made of d: within one, every operation waits for the one before, and a processor looks ahead
 * by some 60 of them. */
ALWAYS_INLINE void swish_divisors(const vector *x, vector *d, const size_t count) {
  struct exponent exponent[SWISH_GROUP];
  UNROLL for (size_t i = 0; i < count; i++) {
    exponent[i] = exponent_minus(x[i]);
  }
  UNROLL for (size_t i = 0; i < count; i++) {
    d[i] = exponential_of(exponent[i]) + 1.0F;
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
