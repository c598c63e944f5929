/* The exponential function of a vector. */
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

/* e^x for x in [-87, 88], beyond which it stays at the ends; within 2 units in the last place. With
 * n = round(x / ln 2), e^x = 2^n e^r where |r| <= ln(2)/2; e^r is the polynomial of Cephes' expf,
 * and n is added to the exponent's bits. Adding 1.5 * 2^23 rounds to the integer that the low bits
 * then hold. ln 2 is split in two so that n times the first part is exact. */
ALWAYS_INLINE vector exponential(vector x) {
  const float rounder = 12582912.0F;
  x = at_most(at_least(x, -87.0F), 88.0F);
  vector shifted = x * 1.44269504088896341F + rounder;
  vector n = shifted - rounder;
  vector r = x - n * 0.693359375F;
  r = r + n * 2.12194440e-4F;
  vector e = r * 1.9875691500e-4F + 1.3981999507e-3F;
  e = e * r + 8.3334519073e-3F;
  e = e * r + 4.1665795894e-2F;
  e = e * r + 1.6666665459e-1F;
  e = e * r + 5.0000001201e-1F;
  e = e * (r * r) + r + 1.0F;
  return (vector)((vector_bits)e + ((vector_bits)shifted << 23));
}

#endif
