#include "simd.h"

extern const struct simd simd_table_baseline;
#if defined(__x86_64__)
extern const struct simd simd_table_avx2, simd_table_avx512;
#endif

const struct simd *simd_get(enum cpu_isa isa) {
  if (isa > cpu_best_isa())
    return NULL;
  switch (isa) {
  case CPU_BASELINE:
    return &simd_table_baseline;
#if defined(__x86_64__)
  case CPU_AVX2:
    return &simd_table_avx2;
  case CPU_AVX512:
    return &simd_table_avx512;
#endif
  default:
    return NULL;
  }
}

const struct simd *simd_best(const struct simd *given) {
  return given ? given : simd_get(cpu_best_isa());
}
