/* Vectors of the instruction set that a file is being compiled for, through GCC's vector
 * extensions, so that one text serves SSE2, AVX2, AVX-512 and NEON. */
#ifndef KERNELS_VECTOR_H
#define KERNELS_VECTOR_H

#include <stddef.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "simd.h"

/* LANES: numbers in a vector. ROWS: rows of the product's inner block, as many as leave room in the
 * registers for 2 vectors a row, 2 vectors of B and one of A. */
#if defined(SIMD_ISA_avx512)
#define LANES 16
#define ROWS  14
#elif defined(SIMD_ISA_avx2)
#define LANES 8
#define ROWS  6
#elif defined(__aarch64__)
#define LANES 4
#define ROWS  12
#else
#define LANES 4
#define ROWS  4
#endif

#define SIMD_JOIN(name, isa)  name##_##isa
#define SIMD_JOIN2(name, isa) SIMD_JOIN(name, isa)
#define SIMD_NAME(name)       SIMD_JOIN2(name, SIMD_ISA)

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL        _Pragma("GCC unroll 16")

typedef float vector __attribute__((vector_size(LANES * sizeof(float))));
typedef float vector_loose
    __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));
typedef int vector_bits __attribute__((vector_size(LANES * sizeof(int))));

ALWAYS_INLINE vector load(const float *from) {
  return (vector) * (const vector_loose *)from;
}

ALWAYS_INLINE void store(float *to, vector value) {
  *(vector_loose *)to = (vector_loose)value;
}

ALWAYS_INLINE vector broadcast(float value) {
  return value - (vector){0};
}

/** The greater of two; b where one is NaN. */
ALWAYS_INLINE vector greater(vector a, vector b) {
#if defined(SIMD_ISA_avx512)
  return (vector)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(SIMD_ISA_avx2)
  return (vector)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
  return (vector)_mm_max_ps((__m128)a, (__m128)b);
#else
  vector_bits left = a > b;
  return (vector)((left & (vector_bits)a) | (~left & (vector_bits)b));
#endif
}

/** The lesser of two; b where one is NaN. */
ALWAYS_INLINE vector lesser(vector a, vector b) {
#if defined(SIMD_ISA_avx512)
  return (vector)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(SIMD_ISA_avx2)
  return (vector)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
  return (vector)_mm_min_ps((__m128)a, (__m128)b);
#else
  vector_bits left = a < b;
  return (vector)((left & (vector_bits)a) | (~left & (vector_bits)b));
#endif
}

/** The first `count` numbers, and zeros. */
ALWAYS_INLINE vector load_some(const float *from, size_t count) {
  if (count >= LANES)
    return load(from);
  float numbers[LANES] = {0};
  memcpy(numbers, from, count * sizeof(float));
  return load(numbers);
}

ALWAYS_INLINE void store_some(float *to, vector value, size_t count) {
  if (count >= LANES) {
    store(to, value);
  } else {
    float numbers[LANES];
    store(numbers, value);
    memcpy(to, numbers, count * sizeof(float));
  }
}

void SIMD_NAME(product)(const struct product *);
void SIMD_NAME(prologue)(const struct prologue *);
void SIMD_NAME(least_scores)(const struct scores *, float *, float *);
size_t SIMD_NAME(next_score)(const struct scores *, const float *, size_t);
void SIMD_NAME(norm_sums)(const struct norm_sums *);
void SIMD_NAME(norm_input)(const struct norm_input *);
void SIMD_NAME(epilogue)(const float *, size_t, const struct epilogue *);
void SIMD_NAME(winograd_input)(const float *, size_t, size_t, size_t, float *, size_t);
void SIMD_NAME(winograd_output)(const float *, size_t, const struct epilogue *);
void SIMD_NAME(winograd_weight)(const float *, size_t, size_t, float *, size_t);
void SIMD_NAME(winograd_weight_gradient)(const float *, size_t, size_t, float *, size_t);
void SIMD_NAME(winograd_gradient)(const float *, size_t, size_t, size_t, float *, size_t);

#endif
