/* What the kernels' tests share: random arrays, a place to run, and every instruction set. */
#ifndef TESTS_KERNEL_FIXTURE_H
#define TESTS_KERNEL_FIXTURE_H

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "rng.h"
#include "simd.h"

/** `count` normal numbers of the sequence `stream`; the caller frees them. */
static inline float *normal_floats(size_t count, uint64_t stream) {
  struct rng rng;
  rng_seed(&rng, 7, stream);
  float *numbers = malloc((count ? count : 1) * sizeof *numbers);
  ck_assert_ptr_nonnull(numbers);
  for (size_t i = 0; i < count; i++)
    numbers[i] = rng_normal(&rng);
  return numbers;
}

/** Room for `count` numbers, all NaN, so that one that is never written shows. */
static inline float *unset_floats(size_t count) {
  float *numbers = malloc((count ? count : 1) * sizeof *numbers);
  ck_assert_ptr_nonnull(numbers);
  for (size_t i = 0; i < count; i++)
    numbers[i] = NAN;
  return numbers;
}

struct place {
  struct arena arena;
  struct exec exec;
};

static inline void place_open(struct place *place, unsigned threads, const struct simd *simd) {
  arena_init(&place->arena, 0);
  place->exec = (struct exec){.arena = &place->arena, .simd = simd};
  ck_assert_int_eq(pool_new(threads, &place->exec.pool, NULL), VQCT_OK);
}

static inline void place_close(struct place *place) {
  pool_free(place->exec.pool);
  arena_free(&place->arena);
}

/** The kernels of set number `isa`, or NULL and a word about it where this machine lacks them. */
static inline const struct simd *simd_for_test(int isa) {
  const struct simd *simd = simd_get((enum cpu_isa)isa);
  if (!simd)
    printf("skipped instruction set %s: not on this machine\n", cpu_isa_name((enum cpu_isa)isa));
  return simd;
}

/** Largest difference over the largest wanted value. */
static inline double relative_error(const float *got, const double *wanted, size_t count) {
  double error = 0, largest = 1e-30;
  for (size_t i = 0; i < count; i++) {
    double difference = fabs((double)got[i] - wanted[i]);
    error = difference <= error ? error : difference; /* keeps a NaN */
    largest = fmax(largest, fabs(wanted[i]));
  }
  return error / largest;
}

#endif
