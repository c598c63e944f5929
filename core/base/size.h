/* Arithmetic on sizes that come from outside: the result, or the news that it does not fit. */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>

/** *product = a * b; false, leaving *product unspecified, where that overflows. */
static inline bool size_multiply(size_t a, size_t b, size_t *product) {
  return !__builtin_mul_overflow(a, b, product);
}

/** *sum = a + b; false, leaving *sum unspecified, where that overflows. */
static inline bool size_add(size_t a, size_t b, size_t *sum) {
  return !__builtin_add_overflow(a, b, sum);
}

/** The smaller of two sizes. */
static inline size_t size_least(size_t a, size_t b) {
  return a < b ? a : b;
}

/** The greater of two sizes. */
static inline size_t size_most(size_t a, size_t b) {
  return a > b ? a : b;
}

#endif
