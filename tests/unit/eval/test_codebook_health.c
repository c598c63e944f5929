/* Health and drift of codebooks: values worked out by hand from the definitions. */
#include <math.h>
#include <stdlib.h>

#include "../suite.h"
#include "vqct/codebook.h"

#define CODES 4

static const struct {
  uint64_t counts[CODES], tokens, used;
  double usage, entropy, perplexity;
} healths[] = {
    {{5, 5, 5, 5}, 20, 4, 1, 2, 4},  {{8, 4, 2, 2}, 16, 4, 1, 1.75, 3.363585661014858},
    {{3, 0, 3, 0}, 6, 2, 0.5, 1, 2}, {{0, 9, 0, 0}, 9, 1, 0.25, 0, 1},
    {{0, 0, 0, 0}, 0, 0, 0, 0, 0},   {{1ull << 62, 1ull << 62, 0, 0}, 1ull << 63, 2, 0.5, 1, 2},
};

START_TEST(test_health) {
  struct vqct_codebook_health health;
  vqct_codebook_health(healths[_i].counts, CODES, &health);
  ck_assert_uint_eq(health.codes, CODES);
  ck_assert_uint_eq(health.tokens, healths[_i].tokens);
  ck_assert_uint_eq(health.used, healths[_i].used);
  ck_assert_uint_eq(health.dead, CODES - healths[_i].used);
  /* A few roundings of doubles. */
  ck_assert_double_eq_tol(health.usage, healths[_i].usage, 1e-15);
  ck_assert_double_eq_tol(health.entropy, healths[_i].entropy, 1e-14);
  ck_assert_double_eq_tol(health.perplexity, healths[_i].perplexity, 1e-13);
  ck_assert(!signbit(health.entropy));
}
END_TEST

static const struct {
  uint64_t counts[CODES], reference[CODES];
  double drift; /* NaN: undefined */
} drifts[] = {
    {{1, 2, 3, 4}, {10, 20, 30, 40}, 0},
    {{1, 1, 0, 0}, {0, 0, 7, 9}, 1},
    {{1, 0, 0, 0}, {1, 1, 0, 0}, 0.31127812445913283}, /* H(3/4) - (H(1) + H(1/2)) / 2 */
    {{1, 1, 0, 0}, {1, 0, 0, 0}, 0.31127812445913283},
    {{0, 0, 0, 0}, {1, 0, 0, 0}, NAN},
    {{1, 0, 0, 0}, {0, 0, 0, 0}, NAN},
};

START_TEST(test_drift) {
  double drift = vqct_codebook_drift(drifts[_i].counts, drifts[_i].reference, CODES);
  if (isnan(drifts[_i].drift))
    ck_assert(isnan(drift));
  else
    ck_assert_double_eq_tol(drift, drifts[_i].drift, 1e-14);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("codebook_health");
  tcase_add_loop_test(cases, test_health, 0, sizeof healths / sizeof *healths);
  tcase_add_loop_test(cases, test_drift, 0, sizeof drifts / sizeof *drifts);
  return suite_run("codebook_health", cases);
}
