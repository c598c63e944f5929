#include <check.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "cpu.h"
#include "error.h"
#include "pool.h"
#include "rng.h"
#include "size.h"

START_TEST(error_text_is_clean_and_cut) {
  struct vqct_error error;
  ck_assert_int_eq(error_set(&error, VQCT_READ, "file '%s'", "a\nb\x1b"), VQCT_READ);
  ck_assert_str_eq(error.message, "file 'a?b?'");
  ck_assert_int_eq(error_prefix(&error, "line %d", 7), VQCT_READ);
  ck_assert_str_eq(error.message, "line 7: file 'a?b?'");
  char text[2000];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  error_set(&error, VQCT_MODEL, "%s", text);
  ck_assert_uint_eq(strlen(error.message), sizeof error.message - 1);
  error_prefix(&error, "%s", text);
  ck_assert_uint_eq(strlen(error.message), sizeof error.message - 1);
  ck_assert_int_eq(error_set(NULL, VQCT_LIMIT, "nobody listens"), VQCT_LIMIT);
}
END_TEST

START_TEST(every_status_has_a_name_and_its_own_exit) {
  bool seen[256] = {false};
  for (int status = VQCT_OK; status <= VQCT_UNAVAILABLE; status++) {
    int code = vqct_status_exit((enum vqct_status)status);
    ck_assert_int_ge(code, 0);
    ck_assert(!seen[code]);
    seen[code] = true;
    ck_assert_int_gt((int)strlen(vqct_status_meaning((enum vqct_status)status)), 0);
  }
  ck_assert_str_eq(vqct_status_name(VQCT_MODEL), "MODEL");
  ck_assert_str_eq(vqct_status_name((enum vqct_status)999), "INTERNAL");
}
END_TEST

START_TEST(arena_gives_disjoint_aligned_blocks) {
  struct arena arena;
  arena_init(&arena, 0);
  unsigned char *blocks[200];
  size_t intact = 0;
  for (size_t i = 0; i < 200; i++) {
    blocks[i] = arena_alloc(&arena, i * 37);
    ck_assert_ptr_nonnull(blocks[i]);
    ck_assert_uint_eq((uintptr_t)blocks[i] % ARENA_ALIGNMENT, 0);
    memset(blocks[i], (int)i, i * 37);
  }
  for (size_t i = 0; i < 200; i++)
    for (size_t j = 0; j < i * 37; j++)
      intact += blocks[i][j] == (unsigned char)i;
  ck_assert_uint_eq(intact, 37 * 199 * 200 / 2);
  arena_free(&arena);
}
END_TEST

START_TEST(arena_reuses_what_was_released) {
  struct arena arena;
  arena_init(&arena, 0);
  size_t after_first = 0;
  for (int run = 0; run < 5; run++) {
    struct arena_mark mark = arena_mark(&arena);
    for (size_t size = 100; size < 1000000; size *= 3)
      ck_assert_ptr_nonnull(arena_alloc(&arena, size));
    arena_release(&arena, mark);
    if (run == 0)
      after_first = arena.total;
    ck_assert_uint_eq(arena.total, after_first);
  }
  arena_free(&arena);
  ck_assert_uint_eq(arena.total, 0);
}
END_TEST

START_TEST(arena_gathers_its_chunks) {
  struct arena arena;
  arena_init(&arena, 0);
  for (size_t run = 0; run < 2; run++) { /* the second cuts the same amount into other blocks */
    struct arena_mark mark = arena_mark(&arena);
    for (size_t i = 0, size = run ? 900000 : 300000; i < 3000000 / size; i++)
      ck_assert_ptr_nonnull(arena_alloc(&arena, size));
    ck_assert_uint_ge(arena.peak, run ? 2700000 : 3000000);
    arena_release(&arena, mark);
    ck_assert_uint_eq(arena.held, 0);
    if (run)
      continue;
    ck_assert_uint_gt(arena.total, arena.peak);
    arena_gather(&arena, 0);
    ck_assert_uint_eq(arena.total, arena.peak);
  }
  ck_assert_uint_eq(arena.total, arena.peak);
  arena_gather(&arena, arena.peak);
  ck_assert_uint_gt(arena.total, 0);
  arena_gather(&arena, arena.peak - 1); /* more than is to be kept */
  ck_assert_uint_eq(arena.total, 0);
  ck_assert_uint_eq(arena.peak, 0);
  arena_free(&arena);
}
END_TEST

START_TEST(arena_refuses_what_does_not_fit) {
  struct arena arena;
  arena_init(&arena, 100000);
  ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX));
  ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX - 64));
  ck_assert_ptr_null(arena_calloc(&arena, SIZE_MAX / 2, 4));
  ck_assert_ptr_null(arena_alloc(&arena, 100001));
  ck_assert_ptr_nonnull(arena_alloc(&arena, 50000));
  ck_assert_ptr_null(arena_alloc(&arena, 90000));
  ck_assert_uint_le(arena.total, 100000);
  arena_free(&arena);
}
END_TEST

/* The first three outputs of xoshiro256** from the state that splitmix64 gives, computed from the
 * published algorithms with Python's integers. */
START_TEST(rng_follows_the_published_generator) {
  struct rng rng = {.state = {1, 2, 3, 4}};
  ck_assert_uint_eq(rng_bits(&rng), 11520u);
  ck_assert_uint_eq(rng_bits(&rng), 0u);
  ck_assert_uint_eq(rng_bits(&rng), 1509978240u);
}
END_TEST

START_TEST(rng_is_even_and_independent) {
  struct rng a, b;
  rng_seed(&a, 7, 0);
  rng_seed(&b, 7, 1);
  double sum = 0, squares = 0, product = 0;
  unsigned counts[6] = {0}, outside = 0;
  const int draws = 60000;
  for (int i = 0; i < draws; i++) {
    double x = rng_normal(&a), y = rng_normal(&b);
    sum += x;
    squares += x * x;
    product += x * y;
    counts[rng_below(&a, 6)]++;
    float u = rng_uniform(&b);
    outside += u < 0 || u >= 1;
  }
  /* five standard deviations of each statistic */
  ck_assert_double_eq_tol(sum / draws, 0, 5 / 245.0);
  ck_assert_double_eq_tol(squares / draws, 1, 5 * 1.415 / 245.0);
  ck_assert_double_eq_tol(product / draws, 0, 5 / 245.0);
  ck_assert_uint_eq(outside, 0);
  for (int i = 0; i < 6; i++)
    ck_assert_double_eq_tol(counts[i], draws / 6.0, 5 * 91.3);
}
END_TEST

struct sums {
  unsigned char hits[5000];
  unsigned workers;
  atomic_uint strangers; /* tasks run by a worker whose number is too high */
};

static void hit(void *argument, size_t task, unsigned worker) {
  struct sums *sums = argument;
  if (worker >= sums->workers)
    atomic_fetch_add(&sums->strangers, 1);
  sums->hits[task]++;
}

START_TEST(pool_runs_each_task_once) {
  static const unsigned teams[] = {1, 2, 3, 8};
  struct vqct_error error;
  struct pool *pool;
  ck_assert_int_eq(pool_new(teams[_i], &pool, &error), VQCT_OK);
  for (size_t tasks = 0; tasks <= 5000; tasks = tasks * 2 + 1)
    for (int repeat = 0; repeat < 20; repeat++) {
      struct sums sums = {.workers = teams[_i]};
      size_t count = tasks > 5000 ? 5000 : tasks;
      pool_run(pool, count, hit, &sums);
      size_t once = 0;
      for (size_t i = 0; i < 5000; i++)
        once += sums.hits[i] == (i < count);
      ck_assert_uint_eq(once, 5000);
      ck_assert_uint_eq(sums.strangers, 0);
    }
  pool_free(pool);
}
END_TEST

START_TEST(pool_refuses_a_senseless_size) {
  struct vqct_error error;
  struct pool *pool;
  ck_assert_int_eq(pool_new(0, &pool, &error), VQCT_INVALID);
  ck_assert_int_eq(pool_new(1025, &pool, &error), VQCT_INVALID);
  ck_assert_ptr_null(pool);
  ck_assert_uint_eq(pool_workers(NULL), 1);
}
END_TEST

START_TEST(sizes_report_overflow) {
  size_t result;
  ck_assert(size_multiply(SIZE_MAX / 3, 3, &result));
  ck_assert(!size_multiply(SIZE_MAX / 2, 3, &result));
  ck_assert(size_add(SIZE_MAX - 1, 1, &result));
  ck_assert(!size_add(SIZE_MAX, 1, &result));
}
END_TEST

START_TEST(cpu_counts_at_least_one) {
  ck_assert_uint_ge(cpu_count(), 1);
  ck_assert_str_eq(cpu_isa_name(CPU_BASELINE), "baseline");
}
END_TEST

START_TEST(environment_limits_instructions) {
  enum cpu_isa limit;
  struct vqct_error error;
  ck_assert_int_eq(setenv("VQCT_MAX_ISA", "avx2", 1), 0);
  ck_assert_int_eq(cpu_isa_limit(&limit, &error), VQCT_OK);
  ck_assert_int_eq(limit, CPU_AVX2);
  ck_assert_int_le(cpu_best_isa(), CPU_AVX2);
  ck_assert_int_eq(setenv("VQCT_MAX_ISA", "baseline", 1), 0);
  ck_assert_int_eq(cpu_best_isa(), CPU_BASELINE);
  ck_assert_int_eq(setenv("VQCT_MAX_ISA", "", 1), 0);
  ck_assert_int_eq(cpu_isa_limit(&limit, &error), VQCT_OK);
  ck_assert_int_eq(limit, CPU_ISA_COUNT - 1);
  ck_assert_int_eq(setenv("VQCT_MAX_ISA", "avx9", 1), 0);
  ck_assert_int_eq(cpu_isa_limit(&limit, &error), VQCT_INVALID);
  ck_assert_ptr_nonnull(strstr(error.message, "avx9"));
  ck_assert_int_eq(unsetenv("VQCT_MAX_ISA"), 0);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("base");
  TCase *tests = tcase_create("all");
  tcase_add_test(tests, error_text_is_clean_and_cut);
  tcase_add_test(tests, every_status_has_a_name_and_its_own_exit);
  tcase_add_test(tests, arena_gives_disjoint_aligned_blocks);
  tcase_add_test(tests, arena_reuses_what_was_released);
  tcase_add_test(tests, arena_gathers_its_chunks);
  tcase_add_test(tests, arena_refuses_what_does_not_fit);
  tcase_add_test(tests, rng_follows_the_published_generator);
  tcase_add_test(tests, rng_is_even_and_independent);
  tcase_add_loop_test(tests, pool_runs_each_task_once, 0, 4);
  tcase_add_test(tests, pool_refuses_a_senseless_size);
  tcase_add_test(tests, sizes_report_overflow);
  tcase_add_test(tests, cpu_counts_at_least_one);
  tcase_add_test(tests, environment_limits_instructions);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
