#include "vector.h"

#define ISA_baseline CPU_BASELINE
#define ISA_avx2     CPU_AVX2
#define ISA_avx512   CPU_AVX512
#define ISA_OF2(isa) ISA_##isa
#define ISA_OF(isa)  ISA_OF2(isa)

extern const struct simd SIMD_NAME(simd_table);
const struct simd SIMD_NAME(simd_table) = {
    .isa = ISA_OF(SIMD_ISA),
    .lanes = LANES,
    .panel = (size_t)2 * LANES,
    .product = SIMD_NAME(product),
    .prologue = SIMD_NAME(prologue),
    .least_scores = SIMD_NAME(least_scores),
    .next_score = SIMD_NAME(next_score),
    .norm_sums = SIMD_NAME(norm_sums),
    .norm_input = SIMD_NAME(norm_input),
    .epilogue = SIMD_NAME(epilogue),
    .winograd = SIMD_NAME(winograd),
};
