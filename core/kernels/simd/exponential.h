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

/* e^-x for x in [-80, 87], beyond which it stays at the ends. With n = round(-x / ln 2) it is 2^n
 * e^-s where |s| <= ln(2)/2; e^-s is a polynomial, within 1e-7, and n is added to the exponent's
 * bits. Adding 1.5 * 2^23 rounds to the integer that the low bits then hold. ln 2 is split in two
 * so that n times the first part is exact. */
ALWAYS_INLINE vector exponential_minus(vector x) {
  const vector rounder = broadcast(12582912.0F);
  x = at_most(at_least(x, -80.0F), 87.0F);
  vector shifted = minus_product(x, broadcast(1.44269504088896341F), rounder);
  vector n = shifted - rounder;
  vector s = multiply_add(n, broadcast(0.693359375F), x);
  s = minus_product(n, broadcast(2.12194440e-4F), s);
  vector e = broadcast(-8.290229e-3F);
  e = multiply_add(e, s, broadcast(4.189839e-2F));
  e = multiply_add(e, s, broadcast(-1.666764e-1F));
  e = multiply_add(e, s, broadcast(4.9999145e-1F));
  e = multiply_add(e, s, broadcast(-9.999997e-1F));
  e = multiply_add(e, s, broadcast(1.0F));
  return (vector)((vector_bits)e + ((vector_bits)shifted << 23));
}

/* 1 / (1 + e^-x). The reciprocal is no division, which takes longer, nor the processor's own
 * approximation, whose bits differ between makers: the difference of two bit patterns is within
 * 5%, a step of Newton's (its constant halves the error) leaves 1.3e-3 and one of Halley's 3e-9. */
ALWAYS_INLINE vector sigmoid(vector x) {
  vector d = exponential_minus(x) + 1.0F;
  vector r = (vector)(0x7EF31000 - (vector_bits)d);
  r *= minus_product(d, r, broadcast(2.00128F));
  vector error = minus_product(d, r, broadcast(1.0F));
  return multiply_add(multiply_add(error, error, error), r, r);
}

#endif
