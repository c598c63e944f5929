/* Convolutions and their gradients against plain loops in double, with every instruction set of
 * this machine; the same bits for every number of threads and images. */
#include "conv.h"
#include "kernel_fixture.h"

/* fp32 sums of n products are off by about sqrt(n) * 6e-8 of their size; Winograd's transforms
 * multiply that by up to 10, those for the gradient by up to 20. */
#define TOLERANCE 3e-5

struct conv_case {
  struct conv_shape shape;
  int images, height, width;
  bool norm, upsample, residual;
};

static const struct conv_case cases[] = {
    {{3, 20, 3, 1, 1, 1}, 2, 9, 14, false, false, false},   /* direct: few input channels */
    {{1, 5, 3, 1, 1, 1}, 3, 1, 1, true, false, true},       /* one pixel, one channel */
    {{2, 33, 3, 1, 1, 1}, 1, 2, 35, true, true, false},     /* a panel and one column */
    {{8, 3, 3, 1, 1, 1}, 1, 13, 6, true, false, false},     /* Winograd, few output channels */
    {{17, 49, 3, 1, 1, 1}, 2, 7, 11, true, false, true},    /* no multiple of a vector */
    {{16, 16, 3, 1, 1, 1}, 2, 5, 9, false, true, false},    /* upsampling */
    {{16, 16, 3, 1, 0, 0}, 1, 12, 9, false, false, false},  /* no padding */
    {{16, 16, 3, 1, 0, 0}, 1, 25, 29, false, false, false}, /* of dy a block reads zeros alone */
    {{16, 16, 3, 1, 2, 0}, 1, 6, 6, true, false, false},    /* uneven padding */
    {{70, 16, 3, 1, 1, 1}, 1, 37, 41, false, false, true},  /* several blocks, two gathers */
    {{260, 24, 3, 1, 1, 1}, 1, 6, 7, true, false, true},    /* wide */
    {{257, 40, 3, 1, 1, 1}, 3, 18, 21, true, false, true},  /* wide, several bands and blocks */
    {{260, 24, 3, 1, 1, 1}, 1, 4, 5, true, false, true},    /* wide, but too small an image */
    {{12, 20, 3, 2, 0, 1}, 2, 15, 18, true, false, false},  /* downsampling, uneven padding */
    {{12, 20, 3, 2, 1, 1}, 1, 8, 9, false, false, false},
    {{136, 16, 3, 1, 1, 1}, 1, 9, 10, true, false, true},  /* tiles of 4 x 4 */
    {{260, 24, 3, 1, 1, 1}, 1, 7, 9, false, true, false},  /* wide, upsampling */
    {{260, 24, 3, 2, 0, 1}, 1, 17, 13, true, false, true}, /* wide, downsampling */
    {{3, 16, 4, 2, 1, 1}, 2, 17, 20, false, false, false}, /* the discriminator's layers */
    {{16, 1, 4, 1, 1, 1}, 1, 9, 7, false, false, false},
    {{6, 10, 2, 2, 0, 0}, 1, 9, 8, false, false, false},
    {{40, 72, 1, 1, 0, 0}, 2, 7, 5, true, false, true},
};
enum { CASES = sizeof cases / sizeof *cases };

struct numbers {
  float *x, *scale, *shift, *weight, *bias, *residual, *dy;
  int high, wide; /* of the input after upsampling */
  int out_high, out_wide;
  size_t input, output, weights; /* counts */
};

static struct numbers make_numbers(const struct conv_case *c) {
  const struct conv_shape *s = &c->shape;
  struct numbers n = {.high = c->height * (c->upsample ? 2 : 1),
                      .wide = c->width * (c->upsample ? 2 : 1)};
  n.out_high = conv_output_size(s, n.high);
  n.out_wide = conv_output_size(s, n.wide);
  n.input = (size_t)(c->images * n.high * n.wide * s->in_channels);
  n.output = (size_t)(c->images * n.out_high * n.out_wide * s->out_channels);
  n.weights = (size_t)(s->out_channels * s->in_channels * s->kernel * s->kernel);
  n.x = normal_floats((size_t)(c->images * c->height * c->width * s->in_channels), 1);
  n.scale = normal_floats((size_t)(c->images * s->in_channels), 2);
  n.shift = normal_floats((size_t)(c->images * s->in_channels), 3);
  n.weight = normal_floats(n.weights, 4);
  n.bias = normal_floats((size_t)s->out_channels, 5);
  n.residual = normal_floats(n.output, 6);
  n.dy = normal_floats(n.output, 7);
  return n;
}

static void free_numbers(struct numbers *n) {
  float *all[] = {n->x, n->scale, n->shift, n->weight, n->bias, n->residual, n->dy};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    free(all[i]);
}

/* What the convolution reads at a place, after its prologue. */
static double read_input(const struct conv_case *c, const struct numbers *n, int image, int y,
                         int x, int channel) {
  if (y < 0 || x < 0 || y >= n->high || x >= n->wide)
    return 0;
  int factor = c->upsample ? 2 : 1, channels = c->shape.in_channels;
  int pixel = (image * c->height + y / factor) * c->width + x / factor;
  double value = n->x[pixel * channels + channel];
  if (!c->norm)
    return value;
  int at = image * channels + channel;
  value = value * n->scale[at] + n->shift[at];
  return value / (1 + exp(-value));
}

/* One pass over all products: y, and the gradients for input and weights. */
struct wanted {
  double *y, *dx, *dweight, *dbias;
};

static double *doubles(size_t count) {
  double *numbers = calloc(count, sizeof *numbers);
  ck_assert_ptr_nonnull(numbers);
  return numbers;
}

static void add_output(const struct conv_case *c, const struct numbers *n, struct wanted *w,
                       int image, int y, int x, int o) {
  const struct conv_shape *s = &c->shape;
  int at = ((image * n->out_high + y) * n->out_wide + x) * s->out_channels + o;
  double dy = n->dy[at];
  w->y[at] = n->bias[o] + (c->residual ? (double)n->residual[at] : 0);
  w->dbias[o] += dy;
  for (int tap = 0; tap < s->kernel * s->kernel; tap++) {
    int row = y * s->stride - s->pad_before + tap / s->kernel;
    int column = x * s->stride - s->pad_before + tap % s->kernel;
    if (row < 0 || column < 0 || row >= n->high || column >= n->wide)
      continue;
    for (int i = 0; i < s->in_channels; i++) {
      int weight = (o * s->in_channels + i) * s->kernel * s->kernel + tap;
      double value = read_input(c, n, image, row, column, i);
      w->y[at] += value * n->weight[weight];
      w->dweight[weight] += value * dy;
      w->dx[((image * n->high + row) * n->wide + column) * s->in_channels + i] +=
          n->weight[weight] * dy;
    }
  }
}

static struct wanted plain_loops(const struct conv_case *c, const struct numbers *n) {
  struct wanted w = {doubles(n->output), doubles(n->input), doubles(n->weights),
                     doubles((size_t)c->shape.out_channels)};
  for (int image = 0; image < c->images; image++)
    for (int y = 0; y < n->out_high; y++)
      for (int x = 0; x < n->out_wide; x++)
        for (int o = 0; o < c->shape.out_channels; o++)
          add_output(c, n, &w, image, y, x, o);
  return w;
}

/* What the kernels computed. */
struct result {
  float *y, *dx, *dweight, *dbias;
  double sums[16], squares[16]; /* images, one group */
};

static struct conv_input input_of(const struct conv_case *c, const struct numbers *n) {
  return (struct conv_input){.x = n->x,
                             .images = c->images,
                             .height = c->height,
                             .width = c->width,
                             .scale = c->norm ? n->scale : NULL,
                             .shift = c->norm ? n->shift : NULL,
                             .swish = c->norm,
                             .upsample = c->upsample};
}

static struct result run_kernels(const struct conv_case *c, const struct numbers *n,
                                 struct conv_use use, const struct exec *exec) {
  struct result r = {unset_floats(n->output),
                     unset_floats(n->input),
                     calloc(n->weights, sizeof(float)),
                     calloc((size_t)c->shape.out_channels, sizeof(float)),
                     {0},
                     {0}};
  struct conv *conv;
  struct conv_input input = input_of(c, n);
  struct conv_output output = {r.y, c->residual ? n->residual : NULL, 1, r.sums, r.squares, NULL};
  use.simd = exec->simd;
  use.upsample = c->upsample;
  ck_assert_int_eq(conv_new(&c->shape, n->weight, n->bias, &use, &conv, NULL), VQCT_OK);
  ck_assert_int_eq(conv_forward(conv, &input, &output, exec), VQCT_OK);
  conv_free(conv);
  ck_assert_int_eq(
      conv_backward_input(&c->shape, n->weight, n->dy, c->images, n->high, n->wide, r.dx, exec),
      VQCT_OK);
  ck_assert_int_eq(conv_backward_weight(&c->shape, &input, n->dy, r.dweight, r.dbias, exec),
                   VQCT_OK);
  return r;
}

static void free_result(struct result *r) {
  free(r->y);
  free(r->dx);
  free(r->dweight);
  free(r->dbias);
}

static void check_sums(const struct conv_case *c, const struct wanted *w, const struct result *r,
                       size_t each) {
  for (int image = 0; image < c->images; image++) {
    double sum = 0, square = 0;
    for (size_t i = (size_t)image * each; i < ((size_t)image + 1) * each; i++) {
      sum += w->y[i];
      square += w->y[i] * w->y[i];
    }
    ck_assert_double_lt(fabs(r->sums[image] - sum), TOLERANCE * sqrt(square * (double)each));
    ck_assert_double_lt(fabs(r->squares[image] - square), TOLERANCE * square);
  }
}

START_TEST(test_values) {
  const struct conv_case *c = &cases[_i / CPU_ISA_COUNT];
  const struct simd *simd = simd_for_test(_i % CPU_ISA_COUNT);
  if (!simd)
    return;
  struct numbers n = make_numbers(c);
  struct wanted w = plain_loops(c, &n);
  struct place place;
  place_open(&place, 2, simd);
  struct result r = run_kernels(c, &n, (struct conv_use){0}, &place.exec);
  ck_assert_double_lt(relative_error(r.y, w.y, n.output), TOLERANCE);
  ck_assert_double_lt(relative_error(r.dx, w.dx, n.input), TOLERANCE);
  ck_assert_double_lt(relative_error(r.dweight, w.dweight, n.weights), TOLERANCE);
  ck_assert_double_lt(relative_error(r.dbias, w.dbias, (size_t)c->shape.out_channels), TOLERANCE);
  check_sums(c, &w, &r, n.output / (size_t)c->images);
  place_close(&place);
  free_result(&r);
  free_numbers(&n);
  free(w.y);
  free(w.dx);
  free(w.dweight);
  free(w.dbias);
}
END_TEST

static void assert_same(const float *a, const float *b, size_t count) {
  ck_assert_int_eq(memcmp(a, b, count * sizeof *a), 0);
}

static void assert_same_results(const struct conv_case *c, const struct numbers *n,
                                const struct result *a, const struct result *b) {
  assert_same(a->y, b->y, n->output);
  assert_same(a->dx, b->dx, n->input);
  assert_same(a->dweight, b->dweight, n->weights);
  assert_same(a->dbias, b->dbias, (size_t)c->shape.out_channels);
  ck_assert_int_eq(memcmp(a->sums, b->sums, sizeof a->sums), 0);
  ck_assert_int_eq(memcmp(a->squares, b->squares, sizeof a->squares), 0);
}

START_TEST(test_same_for_all_threads) {
  const struct conv_case *c = &cases[_i];
  struct numbers n = make_numbers(c);
  struct result first = {0};
  for (unsigned threads = 1; threads <= 3; threads++) {
    struct place place;
    place_open(&place, threads, simd_best(NULL));
    struct result r = run_kernels(c, &n, (struct conv_use){0}, &place.exec);
    place_close(&place);
    if (threads == 1) {
      first = r;
      continue;
    }
    assert_same_results(c, &n, &r, &first);
    free_result(&r);
  }
  free_result(&first);
  free_numbers(&n);
}
END_TEST

static const struct conv_use uses[] = {{0}, {.precise = true}, {.few = true}};
enum { USES = sizeof uses / sizeof *uses };

/* Tokens are the same on every processor with fused multiply-add. */
START_TEST(test_same_for_all_fused) {
  const struct conv_case *c = &cases[_i / USES];
  struct numbers n = make_numbers(c);
  struct result first = {0};
  for (enum cpu_isa isa = CPU_AVX2; isa < CPU_ISA_COUNT; isa++) {
    const struct simd *simd = simd_for_test((int)isa);
    if (!simd)
      break;
    struct place place;
    place_open(&place, 2, simd);
    struct result r = run_kernels(c, &n, uses[_i % USES], &place.exec);
    place_close(&place);
    if (isa == CPU_AVX2) {
      first = r;
      continue;
    }
    assert_same_results(c, &n, &r, &first);
    free_result(&r);
  }
  free_result(&first);
  free_numbers(&n);
}
END_TEST

START_TEST(test_same_for_all_batches) {
  const struct conv_case *c = &cases[_i];
  struct numbers n = make_numbers(c);
  struct place place;
  place_open(&place, 2, simd_best(NULL));
  struct result whole = run_kernels(c, &n, (struct conv_use){0}, &place.exec);
  struct conv *conv;
  const struct conv_use use = {.upsample = c->upsample};
  ck_assert_int_eq(conv_new(&c->shape, n.weight, n.bias, &use, &conv, NULL), VQCT_OK);
  size_t each = n.output / (size_t)c->images, in = n.input / (size_t)c->images;
  float *y = unset_floats(each), *dx = unset_floats(in);
  for (int image = 0; image < c->images; image++) {
    struct conv_input input = input_of(c, &n);
    double sum, square;
    input.images = 1;
    input.x += image * c->height * c->width * c->shape.in_channels;
    input.scale = input.scale ? input.scale + image * c->shape.in_channels : NULL;
    input.shift = input.shift ? input.shift + image * c->shape.in_channels : NULL;
    struct conv_output output = {
        y, c->residual ? n.residual + (size_t)image * each : NULL, 1, &sum, &square, NULL};
    ck_assert_int_eq(conv_forward(conv, &input, &output, &place.exec), VQCT_OK);
    ck_assert_int_eq(conv_backward_input(&c->shape, n.weight, n.dy + (size_t)image * each, 1,
                                         n.high, n.wide, dx, &place.exec),
                     VQCT_OK);
    assert_same(y, whole.y + (size_t)image * each, each);
    assert_same(dx, whole.dx + (size_t)image * in, in);
    ck_assert_int_eq(memcmp(&sum, &whole.sums[image], sizeof sum), 0);
    ck_assert_int_eq(memcmp(&square, &whole.squares[image], sizeof square), 0);
  }
  conv_free(conv);
  place_close(&place);
  free(y);
  free(dx);
  free_result(&whole);
  free_numbers(&n);
}
END_TEST

/* The residual may be the output itself, and old weights may be replaced. */
START_TEST(test_in_place_and_update) {
  const struct conv_case c = {{24, 24, 3, 1, 1, 1}, 1, 10, 10, true, false, true};
  struct numbers n = make_numbers(&c);
  struct place place;
  place_open(&place, 2, simd_best(NULL));
  struct result r = run_kernels(&c, &n, (struct conv_use){0}, &place.exec);
  float *other = normal_floats(n.weights, 20);
  struct conv *conv;
  ck_assert_int_eq(conv_new(&c.shape, other, n.bias, NULL, &conv, NULL), VQCT_OK);
  conv_update(conv, n.weight, n.bias, NULL);
  struct conv_input input = input_of(&c, &n);
  struct conv_output output = {.y = n.residual, .residual = n.residual};
  ck_assert_int_eq(conv_forward(conv, &input, &output, &place.exec), VQCT_OK);
  assert_same(n.residual, r.y, n.output);
  conv_free(conv);
  free(other);
  place_close(&place);
  free_result(&r);
  free_numbers(&n);
}
END_TEST

/* A shortcut is what its convolution would have left as a residual, whatever form adds it. */
START_TEST(test_shortcut) {
  const struct conv_case *c = &cases[_i / CPU_ISA_COUNT];
  const struct simd *simd = simd_for_test(_i % CPU_ISA_COUNT);
  if (!simd)
    return;
  enum { STRAIGHT = 37 }; /* channels */
  struct numbers n = make_numbers(c);
  struct place place;
  place_open(&place, 2, simd);
  const struct conv_shape shape = {STRAIGHT, c->shape.out_channels, 1, 1, 0, 0};
  size_t positions = n.output / (size_t)c->shape.out_channels;
  float *x = normal_floats(positions * STRAIGHT, 21), *wanted = unset_floats(n.output);
  float *weight = normal_floats((size_t)c->shape.out_channels * STRAIGHT, 22);
  float *y = unset_floats(n.output), *residual = unset_floats(n.output);
  double sums[16], squares[16], wanted_sums[16], wanted_squares[16];
  struct conv *conv, *straight;
  const struct conv_use use = {.simd = simd, .upsample = c->upsample};
  ck_assert_int_eq(conv_new(&c->shape, n.weight, n.bias, &use, &conv, NULL), VQCT_OK);
  ck_assert_int_eq(conv_new(&shape, weight, n.bias, &use, &straight, NULL), VQCT_OK);
  struct conv_input input = input_of(c, &n);
  struct conv_input beside = {
      .x = x, .images = c->images, .height = n.out_high, .width = n.out_wide};
  struct conv_output kept = {.y = residual};
  struct conv_output apart = {wanted, residual, 1, wanted_sums, wanted_squares, NULL};
  const struct conv_shortcut shortcut = {straight, x};
  struct conv_output together = {y, NULL, 1, sums, squares, &shortcut};
  ck_assert_int_eq(conv_forward(straight, &beside, &kept, &place.exec), VQCT_OK);
  ck_assert_int_eq(conv_forward(conv, &input, &apart, &place.exec), VQCT_OK);
  ck_assert_int_eq(conv_forward(conv, &input, &together, &place.exec), VQCT_OK);
  assert_same(y, wanted, n.output);
  size_t images = (size_t)c->images;
  ck_assert_int_eq(memcmp(sums, wanted_sums, images * sizeof *sums), 0);
  ck_assert_int_eq(memcmp(squares, wanted_squares, images * sizeof *squares), 0);
  conv_free(conv);
  conv_free(straight);
  place_close(&place);
  float *all[] = {x, wanted, weight, y, residual};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    free(all[i]);
  free_numbers(&n);
}
END_TEST

static const struct conv_shape refused[] = {
    {0, 8, 3, 1, 1, 1}, {8, -1, 3, 1, 1, 1},
    {8, 8, 5, 1, 1, 1}, {8, 8, 0, 1, 0, 0},
    {8, 8, 3, 3, 1, 1}, {8, 8, 3, 0, 1, 1},
    {8, 8, 3, 1, 3, 1}, {8, 8, 3, 1, 1, -1},
    {8, 8, 1, 2, 0, 0}, {2000000000, 2000000000, 4, 1, 1, 1},
};

START_TEST(test_refused) {
  struct conv *conv = (struct conv *)&refused;
  struct vqct_error error;
  float none = 0;
  enum vqct_status status = conv_new(&refused[_i], &none, NULL, NULL, &conv, &error);
  ck_assert(status == VQCT_INVALID || status == VQCT_MEMORY);
  ck_assert_int_eq(error.status, status);
  ck_assert_ptr_null(conv);
}
END_TEST

/* Every amount of scratch that is too little gives an error, and what was taken is given back. */
START_TEST(test_too_little_scratch) {
  const struct conv_case *c = &cases[_i];
  struct numbers n = make_numbers(c);
  struct conv *conv;
  ck_assert_int_eq(conv_new(&c->shape, n.weight, n.bias, NULL, &conv, NULL), VQCT_OK);
  float *y = unset_floats(n.output), *dx = unset_floats(n.input);
  float *dweight = calloc(n.weights, sizeof *dweight);
  double sums[16], squares[16];
  struct conv_input input = input_of(c, &n);
  struct conv_output output = {y, NULL, 1, sums, squares, NULL};
  int failures = 0;
  for (size_t limit = 1000; limit < (size_t)256 << 20; limit *= 4) {
    struct arena arena;
    arena_init(&arena, limit);
    struct exec exec = {.arena = &arena};
    enum vqct_status status[] = {
        conv_forward(conv, &input, &output, &exec),
        conv_backward_input(&c->shape, n.weight, n.dy, c->images, n.high, n.wide, dx, &exec),
        conv_backward_weight(&c->shape, &input, n.dy, dweight, NULL, &exec)};
    for (int i = 0; i < 3; i++) {
      ck_assert(status[i] == VQCT_OK || status[i] == VQCT_MEMORY);
      failures += status[i] == VQCT_MEMORY;
      ck_assert(limit < (size_t)64 << 20 || status[i] == VQCT_OK);
    }
    struct arena_mark mark = arena_mark(&arena);
    ck_assert_uint_eq(mark.used, 0);
    arena_free(&arena);
  }
  ck_assert_int_gt(failures, 0);
  conv_free(conv);
  free(y);
  free(dx);
  free(dweight);
  free_numbers(&n);
}
END_TEST

/* A NaN must reach the output, where the session looks for it. */
START_TEST(test_nan_is_kept) {
  const struct conv_case c = {{16, 16, 3, 1, 1, 1}, 1, 8, 8, true, false, false};
  const struct simd *simd = simd_for_test(_i);
  if (!simd)
    return;
  struct numbers n = make_numbers(&c);
  struct place place;
  place_open(&place, 1, simd);
  n.x[(3 * 8 + 3) * 16 + 5] = NAN;
  struct result r = run_kernels(&c, &n, (struct conv_use){0}, &place.exec);
  ck_assert(isnan(r.y[(3 * 8 + 3) * 16]));
  ck_assert(isnan(r.sums[0]));
  place_close(&place);
  free_result(&r);
  free_numbers(&n);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("conv");
  TCase *group = tcase_create("conv");
  tcase_set_timeout(group, 60);
  tcase_add_loop_test(group, test_values, 0, CASES * CPU_ISA_COUNT);
  tcase_add_loop_test(group, test_same_for_all_threads, 0, CASES);
  tcase_add_loop_test(group, test_same_for_all_fused, 0, CASES * USES);
  tcase_add_loop_test(group, test_same_for_all_batches, 0, CASES);
  tcase_add_test(group, test_in_place_and_update);
  tcase_add_loop_test(group, test_shortcut, 0, CASES * CPU_ISA_COUNT);
  tcase_add_loop_test(group, test_refused, 0, sizeof refused / sizeof *refused);
  tcase_add_loop_test(group, test_too_little_scratch, 0, CASES);
  tcase_add_loop_test(group, test_nan_is_kept, 0, CPU_ISA_COUNT);
  suite_add_tcase(suite, group);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
