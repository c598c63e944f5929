/* Tokens against an exhaustive search in double, for every instruction set and for a team, where
 * codes are so near to each other that fp32 cannot tell them apart. */
#include "../kernels/kernel_fixture.h"
#include "../suite.h"
#include "code_search.h"

enum { GAP = 3 }; /* numbers between two vectors */

struct search_case {
  uint32_t codes;
  size_t dimension, positions, k;
  bool dot;
  float scale; /* of the codes */
  float away;  /* how much longer the vectors are */
};

static const struct search_case cases[] = {
    {3569, 8, 300, 1, false, 1, 1},
    {3569, 8, 100, 2, false, 1, 50},
    {16384, 8, 100, 1, false, 1, 1},
    {131072, 256, 20, 1, false, 0.01F, 1},
    {262144, 18, 40, 2, false, 1, 1},
    {1024, 256, 600, 2, true, 1, 1},
    {257, 5, 33, 2, false, 1, 1e6F},
    {3569, 8, 100, 2, false, 1, 1e15F}, /* doubles round more than the scores are apart */
    {1, 3, 5, 1, false, 1, 1},
    {2, 1, 2, 2, true, 1, 1},
    {1000, 7, 40, 2, false, 1e-21F, 1}, /* products are no normal numbers */
    {1000, 7, 40, 1, false, 1e19F, 1},  /* sums overflow */
    {1000, 7, 40, 2, true, 1e25F, 1},
};
enum { CASES = sizeof cases / sizeof *cases };

struct subject {
  const struct search_case *c;
  struct codebook codebook;
  float *codes, *vectors;
  size_t stride;
  uint32_t *wanted;
};

/* Codes come in pairs that differ in a last place or not at all, the pairs far apart. */
static float *make_codes(const struct search_case *c) {
  size_t d = c->dimension;
  float *codes = normal_floats(c->codes * d, 1);
  for (size_t i = 0; i < c->codes * d; i++)
    codes[i] *= c->scale;
  for (size_t i = c->codes / 2; i < c->codes; i++) {
    float *code = codes + i * d;
    memcpy(code, codes + (i - c->codes / 2) * d, d * sizeof *code);
    if (i % 3)
      code[i % d] = nextafterf(code[i % d], i % 2 ? INFINITY : -INFINITY);
  }
  return codes;
}

/* Half of the vectors lie halfway between two codes, or off that by little. */
static float *make_vectors(const struct subject *s) {
  const struct search_case *c = s->c;
  float *vectors = normal_floats(c->positions * s->stride, 2);
  for (size_t i = 0; i < c->positions; i++) {
    const float *a = s->codes + i * 7919 % c->codes * c->dimension;
    const float *b = s->codes + i * 104729 % c->codes * c->dimension;
    for (size_t j = 0; j < c->dimension; j++) {
      float *z = &vectors[i * s->stride + j];
      float between = (a[j] + b[j]) / 2 + *z * c->scale * 1e-7F;
      *z = c->away * (i % 2 ? between : *z * c->scale);
    }
  }
  return vectors;
}

static double distance(const float *z, const float *code, const struct search_case *c) {
  double sum = 0;
  for (size_t i = 0; i < c->dimension; i++) {
    double apart = (double)z[i] - code[i];
    sum += c->dot ? -(double)z[i] * code[i] : apart * apart;
  }
  return sum;
}

static void search_all(const struct subject *s) {
  const struct search_case *c = s->c;
  for (size_t t = 0; t < c->positions; t++) {
    double best = INFINITY, second = INFINITY;
    uint32_t token[2] = {0, 0};
    for (uint32_t i = 0; i < c->codes; i++) {
      double d = distance(s->vectors + t * s->stride, s->codes + i * c->dimension, c);
      if (d < best) {
        second = best;
        token[1] = token[0];
        best = d;
        token[0] = i;
      } else if (d < second) {
        second = d;
        token[1] = i;
      }
    }
    for (size_t k = 0; k < c->k; k++)
      s->wanted[k * c->positions + t] = s->codebook.first + token[k];
  }
}

static struct subject make_subject(const struct search_case *c) {
  struct subject s = {.c = c,
                      .codebook = {.k = c->k, .first = 11, .count = c->codes},
                      .codes = make_codes(c),
                      .stride = c->dimension + GAP,
                      .wanted = malloc(c->k * c->positions * sizeof *s.wanted)};
  s.codebook.squares = malloc(c->codes * sizeof *s.codebook.squares);
  ck_assert_ptr_nonnull(s.wanted);
  ck_assert_ptr_nonnull(s.codebook.squares);
  s.vectors = make_vectors(&s);
  codebook_load(&s.codebook, c->dimension, c->dot, s.codes);
  search_all(&s);
  return s;
}

static void free_subject(struct subject *s) {
  free(s->codebook.squares);
  free(s->codes);
  free(s->vectors);
  free(s->wanted);
}

static void check(const struct subject *s, unsigned threads, const struct simd *simd) {
  const struct search_case *c = s->c;
  uint32_t *tokens = calloc(c->k * c->positions, sizeof *tokens);
  struct place place;
  ck_assert_ptr_nonnull(tokens);
  place_open(&place, threads, simd);
  struct code_search search = {&s->codebook, c->dimension, c->dot, s->vectors,
                               s->stride,    c->positions, tokens};
  ck_assert_int_eq(code_search_run(&search, &place.exec), VQCT_OK);
  for (size_t i = 0; i < c->k * c->positions; i++)
    ck_assert_msg(tokens[i] == s->wanted[i], "%u x %zu: vector %zu is %u, not %u", c->codes,
                  c->dimension, i, tokens[i], s->wanted[i]);
  place_close(&place);
  free(tokens);
}

START_TEST(test_tokens) {
  struct subject s = make_subject(&cases[_i]);
  for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
    const struct simd *simd = simd_for_test(isa);
    if (simd)
      check(&s, 1, simd);
  }
  check(&s, 3, NULL);
  free_subject(&s);
}
END_TEST

/* A code that is no number is never chosen and hides no other. */
START_TEST(test_codes_without_value) {
  struct subject s = make_subject(&cases[1]);
  for (size_t i = 5; i < s.codebook.count; i += 50)
    s.codes[i * s.c->dimension] = NAN;
  codebook_load(&s.codebook, s.c->dimension, false, s.codes);
  search_all(&s);
  check(&s, 1, NULL);
  free_subject(&s);
}
END_TEST

START_TEST(test_too_little_scratch) {
  struct subject s = make_subject(&(struct search_case){1, 3, 5, 1, false, 1, 1});
  struct arena arena;
  uint32_t tokens[5];
  size_t limit = 0;
  enum vqct_status status;
  do { /* until all is there */
    arena_init(&arena, limit += 1000);
    struct exec exec = {.arena = &arena};
    struct code_search search = {&s.codebook, 3, false, s.vectors, s.stride, 5, tokens};
    status = code_search_run(&search, &exec);
    ck_assert(status == VQCT_OK || status == VQCT_MEMORY);
    ck_assert_uint_eq(arena.held, 0);
    arena_free(&arena);
  } while (status == VQCT_MEMORY);
  ck_assert_uint_gt(limit, 2000);
  free_subject(&s);
}
END_TEST

int main(void) {
  TCase *group = tcase_create("code search");
  tcase_set_timeout(group, 120);
  tcase_add_loop_test(group, test_tokens, 0, CASES);
  tcase_add_test(group, test_codes_without_value);
  tcase_add_test(group, test_too_little_scratch);
  return suite_run("code search", group);
}
