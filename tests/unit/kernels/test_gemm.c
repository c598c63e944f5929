/* Products of matrices against plain loops in double. */
#include "gemm.h"
#include "kernel_fixture.h"

#define TOLERANCE                                                                                  \
  4e-6 /* sqrt(700) * 6e-8 of a typical value, which is half the largest or less                   \
        */

struct gemm_case {
  size_t rows, columns, depth;
  bool a_transposed, b_transposed, accumulate;
  float scale;
};

static const struct gemm_case cases[] = {
    {1, 1, 1, false, false, false, 1},      {3, 5, 7, false, false, true, 2},
    {33, 65, 257, false, true, false, -2},  {64, 48, 16, true, false, false, 1},
    {300, 31, 40, false, false, false, 1},  {259, 17, 513, true, true, true, 0.5F},
    {15, 200, 700, false, true, true, 1},   {16, 32, 0, false, false, false, 1},
    {520, 330, 600, true, false, false, 1}, {70, 1000, 300, false, true, false, 3},
};
enum { CASES = sizeof cases / sizeof *cases };

struct matrices {
  struct gemm gemm;
  float *a, *b, *before;
  size_t c_count;
};

/* Strides a little longer than the rows, so that a mistaken one shows. */
static struct matrices make_matrices(const struct gemm_case *c) {
  struct matrices m = {.gemm = {.rows = c->rows,
                                .columns = c->columns,
                                .depth = c->depth,
                                .scale = c->scale,
                                .accumulate = c->accumulate,
                                .c_stride = c->columns + 2}};
  size_t a_stride = (c->a_transposed ? c->rows : c->depth) + 3;
  size_t b_stride = (c->b_transposed ? c->depth : c->columns) + 1;
  m.a = normal_floats((c->a_transposed ? c->depth : c->rows) * a_stride, 1);
  m.b = normal_floats((c->b_transposed ? c->columns : c->depth) * b_stride, 2);
  m.gemm.a = (struct gemm_matrix){m.a, a_stride, c->a_transposed};
  m.gemm.b = (struct gemm_matrix){m.b, b_stride, c->b_transposed};
  m.c_count = c->rows * m.gemm.c_stride;
  m.before = normal_floats(m.c_count, 3);
  return m;
}

static double *wanted_product(const struct matrices *m) {
  const struct gemm *g = &m->gemm;
  double *c = calloc(m->c_count, sizeof *c);
  ck_assert_ptr_nonnull(c);
  for (size_t i = 0; i < m->c_count; i++)
    c[i] = m->before[i];
  for (size_t i = 0; i < g->rows; i++)
    for (size_t j = 0; j < g->columns; j++) {
      double sum = 0;
      for (size_t k = 0; k < g->depth; k++)
        sum += (double)m->a[g->a.transposed ? k * g->a.stride + i : i * g->a.stride + k] *
               m->b[g->b.transposed ? j * g->b.stride + k : k * g->b.stride + j];
      double *at = &c[i * g->c_stride + j];
      *at = g->scale * sum + (g->accumulate ? *at : 0);
    }
  return c;
}

static float *run_product(const struct matrices *m, unsigned threads, const struct simd *simd) {
  struct place place;
  float *c = malloc(m->c_count * sizeof *c);
  struct gemm gemm = m->gemm;
  ck_assert_ptr_nonnull(c);
  memcpy(c, m->before, m->c_count * sizeof *c);
  gemm.c = c;
  place_open(&place, threads, simd);
  ck_assert_int_eq(gemm_run(&gemm, &place.exec), VQCT_OK);
  place_close(&place);
  return c;
}

static void free_matrices(struct matrices *m) {
  free(m->a);
  free(m->b);
  free(m->before);
}

START_TEST(test_values) {
  const struct simd *simd = simd_for_test(_i % CPU_ISA_COUNT);
  if (!simd)
    return;
  struct matrices m = make_matrices(&cases[_i / CPU_ISA_COUNT]);
  double *wanted = wanted_product(&m);
  float *one = run_product(&m, 1, simd), *three = run_product(&m, 3, simd);
  ck_assert_double_lt(relative_error(one, wanted, m.c_count), TOLERANCE);
  ck_assert_int_eq(memcmp(one, three, m.c_count * sizeof *one), 0);
  free(one);
  free(three);
  free(wanted);
  free_matrices(&m);
}
END_TEST

START_TEST(test_same_for_all_fused) {
  const struct simd *avx2 = simd_for_test(CPU_AVX2), *avx512 = simd_for_test(CPU_AVX512);
  if (!avx2 || !avx512)
    return;
  struct matrices m = make_matrices(&cases[_i]);
  float *one = run_product(&m, 1, avx2), *other = run_product(&m, 1, avx512);
  ck_assert_int_eq(memcmp(one, other, m.c_count * sizeof *one), 0);
  free(one);
  free(other);
  free_matrices(&m);
}
END_TEST

/* A row of the result is the same whatever other rows and columns there are. */
START_TEST(test_rows_alone) {
  struct matrices m = make_matrices(&cases[_i]);
  float *whole = run_product(&m, 2, simd_best(NULL));
  size_t row = m.gemm.rows / 2, columns = (m.gemm.columns + 1) / 2;
  struct matrices part = m;
  part.gemm.a.data += m.gemm.a.transposed ? row : row * m.gemm.a.stride;
  part.gemm.rows = 1;
  part.gemm.columns = columns;
  part.before = m.before + row * m.gemm.c_stride;
  part.c_count = m.gemm.c_stride;
  float *alone = run_product(&part, 2, simd_best(NULL));
  ck_assert_int_eq(memcmp(alone, whole + row * m.gemm.c_stride, columns * sizeof *alone), 0);
  free(alone);
  free(whole);
  free_matrices(&m);
}
END_TEST

START_TEST(test_too_little_scratch) {
  struct matrices m = make_matrices(&cases[2]);
  struct arena arena;
  arena_init(&arena, 1000);
  struct exec exec = {.arena = &arena};
  m.gemm.c = m.before;
  ck_assert_int_eq(gemm_run(&m.gemm, &exec), VQCT_MEMORY);
  arena_free(&arena);
  free_matrices(&m);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("gemm");
  TCase *group = tcase_create("gemm");
  tcase_add_loop_test(group, test_values, 0, CASES * CPU_ISA_COUNT);
  tcase_add_loop_test(group, test_same_for_all_fused, 0, CASES);
  tcase_add_loop_test(group, test_rows_alone, 0, CASES);
  tcase_add_test(group, test_too_little_scratch);
  suite_add_tcase(suite, group);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
