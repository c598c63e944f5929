/* Vectors of the instruction set that a file is being compiled for, through GCC's vector
 * extensions, so that one text serves SSE2, AVX2, AVX-512 and NEON. */
#ifndef KERNELS_VECTOR_H
#define KERNELS_VECTOR_H

#include <stddef.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "simd.h"

/* LANES: numbers in a vector. FUSED: multiply-adds round once. ROWS: rows of the product's inner
 * block, as many as leave room in the registers for 2 vectors a row, 2 vectors of B and one of A.
 */
#if defined(SIMD_ISA_avx512)
#define LANES 16
#define FUSED 1
#define ROWS  14
#elif defined(SIMD_ISA_avx2)
#define LANES 8
#define FUSED 1
#define ROWS  6
#elif defined(__aarch64__)
#define LANES 4
#define FUSED 1
#define ROWS  12
#else
#define LANES 4
#define FUSED 0
#define ROWS  4
#endif

#define SIMD_JOIN(name, isa)  name##_##isa
#define SIMD_JOIN2(name, isa) SIMD_JOIN(name, isa)
#define SIMD_NAME(name)       SIMD_JOIN2(name, SIMD_ISA)

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL        _Pragma("GCC unroll 16")
#define ROLLED        _Pragma("GCC unroll 1")

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

/** Whether all numbers have all bits set; none may have only some. */
ALWAYS_INLINE bool all_of(vector_bits bits) {
#if defined(SIMD_ISA_avx512)
  return _mm512_movepi32_mask((__m512i)bits) == 0xFFFF;
#elif defined(SIMD_ISA_avx2)
  return _mm256_movemask_ps((__m256)bits) == 0xFF;
#elif defined(__SSE2__)
  return _mm_movemask_ps((__m128)bits) == 0xF;
#else
  return vminvq_u32((uint32x4_t)bits) != 0;
#endif
}

/** a * b + c, rounded once where the instruction set can. The compiler makes none by itself
 * (-ffp-contract=off), since it would choose differently for each set. */
ALWAYS_INLINE vector multiply_add(vector a, vector b, vector c) {
#if defined(SIMD_ISA_avx512)
  return (vector)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(SIMD_ISA_avx2)
  return (vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (vector)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

/** c - a * b, likewise. */
ALWAYS_INLINE vector minus_product(vector a, vector b, vector c) {
#if defined(SIMD_ISA_avx512)
  return (vector)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(SIMD_ISA_avx2)
  return (vector)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (vector)vfmsq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return c - a * b;
#endif
}

#if defined(__SSE2__)
#define IN_REGISTER "+v"
#else
#define IN_REGISTER "+w"
#endif

/** A constant that the compiler takes for a variable, and so keeps in a register throughout a loop:
 * of itself it reads one from memory at each use, and loops of transforms wait for their loads. */
ALWAYS_INLINE vector held(float value) {
  vector result = broadcast(value);
  __asm__("" : IN_REGISTER(result));
  return result;
}

/** a * k + c. */
ALWAYS_INLINE vector scaled_plus(float k, vector a, vector c) {
  return multiply_add(held(k), a, c);
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
extern const struct winograd SIMD_NAME(winograd)[WINOGRAD_KINDS];
void SIMD_NAME(gradient_4)(const float *, size_t, size_t, size_t, float *, size_t);
void SIMD_NAME(gradient_6)(const float *, size_t, size_t, size_t, float *, size_t);
void SIMD_NAME(weight_gradient_4)(const float *, size_t, size_t, float *, size_t);
void SIMD_NAME(weight_gradient_6)(const float *, size_t, size_t, float *, size_t);

#endif
