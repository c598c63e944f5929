/* Group normalisation and swish against plain loops in double. */
#include <float.h>

#include "kernel_fixture.h"
#include "norm.h"

struct norm_case {
  size_t images, positions, channels, groups;
  float mean; /* of x; far from 0 it makes the variance a small difference of large numbers */
};

static const struct norm_case cases[] = {
    {1, 1, 8, 2, 0},    {2, 7, 6, 3, 1},       {3, 300, 32, 32, -2},
    {2, 513, 20, 4, 9}, {1, 1024, 128, 32, 0}, {2, 256, 33, 1, 30},
};
enum { CASES = sizeof cases / sizeof *cases };

static void wanted_norm(const struct norm_case *c, const float *x, const float *gamma,
                        const float *beta, double *y) {
  size_t width = c->channels / c->groups;
  for (size_t i = 0; i < c->images * c->groups; i++) {
    const size_t base = i / c->groups * c->positions * c->channels + i % c->groups * width;
    double sum = 0, square = 0, count = (double)(c->positions * width);
    for (size_t p = 0; p < c->positions; p++)
      for (size_t k = 0; k < width; k++)
        sum += x[base + p * c->channels + k];
    for (size_t p = 0; p < c->positions; p++)
      for (size_t k = 0; k < width; k++)
        square += pow(x[base + p * c->channels + k] - sum / count, 2);
    for (size_t p = 0; p < c->positions; p++)
      for (size_t k = 0; k < width; k++) {
        size_t at = base + p * c->channels + k, channel = i % c->groups * width + k;
        double v = (x[at] - sum / count) / sqrt(square / count + NORM_EPSILON) * gamma[channel] +
                   beta[channel];
        y[at] = v / (1 + exp(-v));
      }
  }
}

START_TEST(test_norm_and_swish) {
  const struct norm_case *c = &cases[_i / CPU_ISA_COUNT];
  const struct simd *simd = simd_for_test(_i % CPU_ISA_COUNT);
  if (!simd)
    return;
  size_t count = c->images * c->positions * c->channels, groups = c->images * c->groups;
  float *x = normal_floats(count, 1), *y = unset_floats(count);
  float *gamma = normal_floats(c->channels, 2), *beta = normal_floats(c->channels, 3);
  float *scale = unset_floats(c->images * c->channels),
        *shift = unset_floats(c->images * c->channels);
  double *sums = calloc(2 * groups, sizeof *sums), *wanted = calloc(count, sizeof *wanted);
  ck_assert(sums && wanted);
  for (size_t i = 0; i < count; i++)
    x[i] += c->mean;
  wanted_norm(c, x, gamma, beta, wanted);
  struct place place;
  place_open(&place, 2, simd);
  ck_assert_int_eq(group_norm_statistics(x, c->images, c->positions, c->channels, c->groups, sums,
                                         sums + groups, &place.exec),
                   VQCT_OK);
  group_norm_scale(sums, sums + groups, gamma, beta, c->images, c->positions, c->channels,
                   c->groups, scale, shift);
  norm_apply(x, c->images, c->positions, c->channels, scale, shift, true, y, &place.exec);
  /* scale and shift are rounded to fp32, and their sum cancels: mean times 1e-7, twice */
  ck_assert_double_lt(relative_error(y, wanted, count), 1e-6 * (1 + fabs((double)c->mean)));
  place_close(&place);
  float *all[] = {x, y, gamma, beta, scale, shift};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    free(all[i]);
  free(sums);
  free(wanted);
}
END_TEST

#if defined(__aarch64__)
#define IS_FUSED(isa) true
#else
#define IS_FUSED(isa) ((isa) != CPU_BASELINE)
#endif

/* Swish over its whole range, in units in the last place of the true value. Where products are
 * fused, ln 2 is rounded to fp32, which is off by 1 part in 3.6e8: a fiftieth of a unit for each
 * that x lies below 0. */
START_TEST(test_swish_accuracy) {
  const struct simd *simd = simd_for_test(_i);
  if (!simd)
    return;
  enum { COUNT = 1 << 18 };
  float *x = unset_floats(COUNT), *y = unset_floats(COUNT);
  for (int i = 0; i < COUNT; i++)
    x[i] = -87.0F + 174.0F * (float)i / COUNT;
  struct prologue prologue = {
      .x = x, .pixels = 1, .channels = COUNT, .swish = true, .to = y, .to_stride = COUNT};
  simd->prologue(&prologue);
  double worst = 0;
  for (int i = 0; i < COUNT; i++) {
    double v = x[i], wanted = v / (1 + exp(-v));
    double unit = fabs(wanted) * FLT_EPSILON;
    if (fabs(wanted) > 1e-30)
      worst = fmax(worst, fabs((double)y[i] - wanted) / unit -
                              (IS_FUSED(simd->isa) ? 0.023 * fmax(-v, 0) : 0));
  }
  ck_assert_double_lt(worst, 2.5); /* exponential 1.5, addition and division half each */
  free(x);
  free(y);
}
END_TEST

/* Swish of a number has the same bits wherever products are fused, and whatever stands beside it.
 */
START_TEST(test_swish_same_for_all_fused) {
  enum { COUNT = 1 << 16 };
  const struct simd *simd[] = {simd_for_test(CPU_AVX2), simd_for_test(CPU_AVX512)};
  if (!simd[0] || !simd[1])
    return;
  float *x = normal_floats(COUNT, 1), *y[2];
  for (int i = 0; i < COUNT; i++)
    x[i] *= 20;
  for (int i = 0; i < 2; i++) {
    y[i] = unset_floats(COUNT);
    struct prologue prologue = {.x = x,
                                .pixels = i ? 1 : COUNT / 16,
                                .x_stride = 16,
                                .channels = i ? COUNT : 16,
                                .swish = true,
                                .to = y[i],
                                .to_stride = i ? COUNT : 16};
    simd[i]->prologue(&prologue);
  }
  ck_assert_int_eq(memcmp(y[0], y[1], COUNT * sizeof *y[0]), 0);
  free(x);
  free(y[0]);
  free(y[1]);
}
END_TEST

static const float ends[][2] = {
    {100, 100}, {3e38F, 3e38F}, {INFINITY, INFINITY}, {0, 0}, {-100, 0}, {-3e4F, 0},
};

START_TEST(test_swish_ends) {
  const struct simd *simd = simd_for_test(_i);
  if (!simd)
    return;
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    float y;
    struct prologue prologue = {
        .x = ends[i], .pixels = 1, .channels = 1, .swish = true, .to = &y, .to_stride = 1};
    simd->prologue(&prologue);
    if (isinf(ends[i][1]))
      ck_assert(isinf(y));
    else
      ck_assert_float_eq_tol(y, ends[i][1], 1e-30F);
  }
}
END_TEST

int main(void) {
  Suite *suite = suite_create("norm");
  TCase *group = tcase_create("norm");
  tcase_add_loop_test(group, test_norm_and_swish, 0, CASES * CPU_ISA_COUNT);
  tcase_add_loop_test(group, test_swish_accuracy, 0, CPU_ISA_COUNT);
  tcase_add_test(group, test_swish_same_for_all_fused);
  tcase_add_loop_test(group, test_swish_ends, 0, CPU_ISA_COUNT);
  suite_add_tcase(suite, group);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
