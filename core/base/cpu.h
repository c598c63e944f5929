/* What the processor and the kernel offer, asked at run time. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdint.h>

#include "vqct/status.h"

/* Instruction sets that a kernel may be compiled for, from least to most. */
enum cpu_isa {
  CPU_BASELINE, /* SSE2 on x86-64, NEON on arm64 */
  CPU_AVX2,     /* AVX2 and FMA */
  CPU_AVX512,   /* AVX-512 F, BW, DQ, VL */
  CPU_ISA_COUNT
};

/** The most that the environment's VQCT_MAX_ISA allows: all where it is not set or empty. Errors:
 * INVALID (it names no set); all are then allowed. */
enum vqct_status cpu_isa_limit(enum cpu_isa *limit, struct vqct_error *error);

/** The best set that this machine runs and the environment allows. */
enum cpu_isa cpu_best_isa(void);

/** "baseline", "avx2" or "avx512". */
const char *cpu_isa_name(enum cpu_isa isa);

/** Processors that this process may run on, at least 1 (affinity and container quota counted). */
unsigned cpu_count(void);

/** As many threads as are asked for, or one for each processor where that is 0. */
unsigned cpu_threads(int64_t asked);

#endif
