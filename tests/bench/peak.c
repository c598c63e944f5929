/* What the processor can do: multiply-adds of fp32 that wait for nothing.
 *
 *   peak [THREADS]   prints GFLOP/s of all threads together, two operations a multiply-add: the
 * best of several runs */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cpu.h"

#define THREADS_MAX 1024
#define RUNS        9
#define STEPS       2000000 /* of a run */
#define CHAINS      12      /* that do not wait for one another */

/* One run with vectors of so many bytes, for one instruction set. */
#define CHAINS_OF(name, bytes, set)                                                                \
  typedef float vector_##name __attribute__((vector_size(bytes)));                                 \
  __attribute__((set)) static float chains_##name(void) {                                          \
    vector_##name sum[CHAINS] = {{0}}, factor = {0};                                               \
    __asm__ volatile("" : "+m"(factor));                                                           \
    for (int step = 0; step < STEPS; step++)                                                       \
      for (int i = 0; i < CHAINS; i++)                                                             \
        sum[i] = sum[i] * factor + factor;                                                         \
    for (int i = 1; i < CHAINS; i++)                                                               \
      sum[0] += sum[i];                                                                            \
    return sum[0][0];                                                                              \
  }

#pragma GCC optimize("fp-contract=fast")
CHAINS_OF(baseline, 16, unused)
#if defined(__x86_64__)
CHAINS_OF(avx2, 32, target("avx2,fma"))
CHAINS_OF(avx512, 64, target("avx512f"))
#endif

static size_t lanes(void) {
  static const size_t of[CPU_ISA_COUNT] = {4, 8, 16};
  return of[cpu_best_isa()];
}

static void *work(void *argument) {
  volatile float *result = argument;
  switch (cpu_best_isa()) {
#if defined(__x86_64__)
  case CPU_AVX512:
    *result = chains_avx512();
    break;
  case CPU_AVX2:
    *result = chains_avx2();
    break;
#endif
  default:
    *result = chains_baseline();
  }
  return NULL;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  pthread_t team[THREADS_MAX];
  float result[THREADS_MAX];
  double best = 1e9;
  if (threads < 1 || threads > THREADS_MAX)
    return 2;
  for (int run = 0; run < RUNS; run++) {
    double start = now();
    for (int i = 0; i < threads; i++)
      if (pthread_create(&team[i], NULL, work, &result[i]))
        return 8;
    for (int i = 0; i < threads; i++)
      pthread_join(team[i], NULL);
    double seconds = now() - start;
    best = seconds < best ? seconds : best;
  }
  printf("%.1f\n", 2.0 * STEPS * CHAINS * (double)(lanes() * (size_t)threads) / best * 1e-9);
  return 0;
}
