/* Both gradients of a convolution in one pass against plain loops in double, with every instruction
 * set of this machine; the same bits for every number of threads and with AVX2 and AVX-512. */
#include "../suite.h"
#include "conv.h"
#include "kernel_fixture.h"

/* fp32 sums of n products are off by about sqrt(n) * 6e-8 of their size; the transforms multiply
 * that by up to 20. */
#define TOLERANCE 3e-5

struct both_case {
  struct conv_shape shape;
  int images, height, width;
  bool upsample;
};

/* Each with as many pixels as one pass takes. */
static const struct both_case cases[] = {
    {{9, 8, 3, 1, 1, 1}, 3, 53, 55, false},  /* tiles of 6 x 6, of which few are whole */
    {{8, 33, 3, 1, 1, 1}, 1, 90, 96, false}, /* whole tiles; a panel and one channel */
    {{8, 10, 3, 1, 1, 1}, 8, 31, 32, false}, /* tiles of 4 x 4 */
    {{8, 8, 3, 1, 1, 1}, 512, 1, 1, false},  /* pictures of a pixel */
    {{8, 9, 3, 1, 1, 1}, 128, 5, 5, false},  /* a tile of 6 x 6 each, not filled */
    {{8, 8, 3, 1, 1, 1}, 1, 1, 2045, false}, /* a row */
    {{8, 8, 3, 1, 1, 1}, 1, 2046, 2, false}, /* columns */
    {{11, 8, 3, 1, 2, 0}, 1, 97, 86, false}, /* padded unevenly */
    {{8, 17, 3, 1, 1, 1}, 2, 33, 35, true},  /* tiles of 6 x 6, upsampling */
    {{8, 9, 3, 1, 1, 1}, 8, 16, 16, true},   /* tiles of 4 x 4, upsampling */
    {{70, 8, 3, 1, 1, 1}, 512, 1, 1, true},  /* pictures of a pixel, upsampling */
};
enum { CASES = sizeof cases / sizeof *cases };

struct numbers {
  struct conv_input input;
  int high, wide, out_high, out_wide; /* high, wide: after upsampling */
  float *x, *weight, *dy;
  size_t inputs, outputs, weights; /* counts */
};

static struct numbers numbers_make(const struct both_case *c) {
  const struct conv_shape *s = &c->shape;
  struct numbers n = {.high = c->upsample ? 2 * c->height : c->height,
                      .wide = c->upsample ? 2 * c->width : c->width};
  n.out_high = conv_output_size(s, n.high);
  n.out_wide = conv_output_size(s, n.wide);
  n.inputs = (size_t)(c->images * c->height * c->width * s->in_channels);
  n.outputs = (size_t)(c->images * n.out_high * n.out_wide * s->out_channels);
  n.weights = (size_t)(s->out_channels * s->in_channels * s->kernel * s->kernel);
  n.x = normal_floats(n.inputs, 1);
  n.weight = normal_floats(n.weights, 2);
  n.dy = normal_floats(n.outputs, 3);
  n.input = (struct conv_input){.x = n.x,
                                .images = c->images,
                                .height = c->height,
                                .width = c->width,
                                .upsample = c->upsample};
  return n;
}

static void numbers_free(struct numbers *n) {
  free(n->x);
  free(n->weight);
  free(n->dy);
}

/* dx: of the input before upsampling; dweight begins as ones, which are added to. */
struct gradients {
  float *dx, *dweight;
};

static struct gradients run(const struct both_case *c, const struct numbers *n, unsigned threads,
                            const struct simd *simd) {
  struct gradients g = {unset_floats(n->inputs), unset_floats(n->weights)};
  struct place place;
  place_open(&place, threads, simd);
  for (size_t i = 0; i < n->weights; i++)
    g.dweight[i] = 1;
  ck_assert_int_eq(
      conv_backward(&c->shape, n->weight, &n->input, n->dy, g.dx, g.dweight, NULL, &place.exec),
      VQCT_OK);
  place_close(&place);
  return g;
}

static void gradients_free(struct gradients *g) {
  free(g->dx);
  free(g->dweight);
}

/* What one number of dy adds to both gradients. */
static void add_number(const struct both_case *c, const struct numbers *n, size_t at, double *dx,
                       double *dweight) {
  const struct conv_shape *s = &c->shape;
  int o = (int)at % s->out_channels, place = (int)at / s->out_channels;
  int image = place / n->out_wide / n->out_high, factor = c->upsample ? 2 : 1;
  for (int tap = 0; tap < 9; tap++) {
    int row = place / n->out_wide % n->out_high - s->pad_before + tap / 3;
    int column = place % n->out_wide - s->pad_before + tap % 3;
    if (row < 0 || column < 0 || row >= n->high || column >= n->wide)
      continue;
    int pixel = (image * c->height + row / factor) * c->width + column / factor;
    for (int i = 0; i < s->in_channels; i++) {
      int weight = (o * s->in_channels + i) * 9 + tap, input = pixel * s->in_channels + i;
      dx[input] += (double)n->weight[weight] * (double)n->dy[at];
      dweight[weight] += (double)n->x[input] * (double)n->dy[at];
    }
  }
}

START_TEST(values) {
  const struct both_case *c = &cases[_i / CPU_ISA_COUNT];
  const struct simd *simd = simd_for_test(_i % CPU_ISA_COUNT);
  if (!simd)
    return;
  struct numbers n = numbers_make(c);
  double *dx = calloc(n.inputs, sizeof *dx), *dweight = calloc(n.weights, sizeof *dweight);
  ck_assert(dx && dweight);
  for (size_t i = 0; i < n.weights; i++)
    dweight[i] = 1;
  for (size_t at = 0; at < n.outputs; at++)
    add_number(c, &n, at, dx, dweight);
  struct gradients g = run(c, &n, 2, simd);
  ck_assert_double_lt(relative_error(g.dx, dx, n.inputs), TOLERANCE);
  ck_assert_double_lt(relative_error(g.dweight, dweight, n.weights), TOLERANCE);
  gradients_free(&g);
  free(dx);
  free(dweight);
  numbers_free(&n);
}
END_TEST

static void assert_same(const struct numbers *n, struct gradients *a, struct gradients *b) {
  ck_assert_int_eq(memcmp(a->dx, b->dx, n->inputs * sizeof *a->dx), 0);
  ck_assert_int_eq(memcmp(a->dweight, b->dweight, n->weights * sizeof *a->dweight), 0);
  gradients_free(b);
}

START_TEST(same_for_all_threads_and_fused) {
  const struct both_case *c = &cases[_i];
  struct numbers n = numbers_make(c);
  struct gradients first = run(c, &n, 1, simd_best(NULL));
  for (unsigned threads = 2; threads <= 5; threads++) {
    struct gradients again = run(c, &n, threads, simd_best(NULL));
    assert_same(&n, &first, &again);
  }
  const struct simd *narrow = simd_get(CPU_AVX2);
  if (narrow) {
    struct gradients again = run(c, &n, 3, narrow);
    assert_same(&n, &first, &again);
  }
  gradients_free(&first);
  numbers_free(&n);
}
END_TEST

int main(void) {
  TCase *both = tcase_create("both gradients");
  tcase_set_timeout(both, 60);
  tcase_add_loop_test(both, values, 0, CASES * CPU_ISA_COUNT);
  tcase_add_loop_test(both, same_for_all_threads_and_fused, 0, CASES);
  return suite_run("conv_both", both);
}
