/* Speed of the convolutions that the f16 network is made of.
 *
 *   kernels [THREADS] [BATCH] [forward|backward] [NAME]
 *
 * prints, for each shape, the milliseconds of one image and GFLOP/s counted as a plain convolution
 * (two operations a multiply-add, whatever the form saves). The best of several runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conv.h"
#include "rng.h"

#define RUNS 9

struct bench_case {
  const char *name;
  struct conv_shape shape;
  int size; /* of the input, before upsampling */
  bool norm, upsample;
};

static const struct bench_case CASES[] = {
    {"conv_in", {3, 128, 3, 1, 1, 1}, 256, false, false},
    {"3x3 128", {128, 128, 3, 1, 1, 1}, 256, true, false},
    {"3x3 128", {128, 128, 3, 1, 1, 1}, 128, true, false},
    {"3x3 128-256", {128, 256, 3, 1, 1, 1}, 64, true, false},
    {"3x3 256", {256, 256, 3, 1, 1, 1}, 64, true, false},
    {"3x3 256", {256, 256, 3, 1, 1, 1}, 32, true, false},
    {"3x3 256-512", {256, 512, 3, 1, 1, 1}, 16, true, false},
    {"3x3 512", {512, 512, 3, 1, 1, 1}, 16, true, false},
    {"3x3 512-256", {512, 256, 3, 1, 1, 1}, 32, true, false},
    {"up 512", {512, 512, 3, 1, 1, 1}, 16, false, true},
    {"up 256", {256, 256, 3, 1, 1, 1}, 64, false, true},
    {"up 128", {128, 128, 3, 1, 1, 1}, 128, false, true},
    {"down 128", {128, 128, 3, 2, 0, 1}, 256, false, false},
    {"down 256", {256, 256, 3, 2, 0, 1}, 32, false, false},
    {"conv_out", {128, 3, 3, 1, 1, 1}, 256, true, false},
    {"1x1 512", {512, 512, 1, 1, 0, 0}, 16, true, false},
    {"1x1 128-256", {128, 256, 1, 1, 0, 0}, 64, false, false},
    {"patch 64-128", {64, 128, 4, 2, 1, 1}, 128, false, false},
    {"small in", {3, 32, 3, 1, 1, 1}, 256, false, false},
    {"small 32", {32, 32, 3, 1, 1, 1}, 256, true, false},
    {"small out", {32, 3, 3, 1, 1, 1}, 256, true, false},
    {"small down", {32, 32, 3, 2, 0, 1}, 256, false, false},
    {"small 64", {64, 64, 3, 1, 1, 1}, 128, true, false},
    {"small 64-32", {64, 32, 1, 1, 0, 0}, 256, false, false},
    {"small up", {64, 64, 3, 1, 1, 1}, 128, false, true},
    {"small down", {64, 64, 3, 2, 0, 1}, 128, false, false},
    {"small 64", {64, 64, 3, 1, 1, 1}, 64, true, false},
    {"small 128", {128, 128, 3, 1, 1, 1}, 32, true, false},
    {"small up", {128, 128, 3, 1, 1, 1}, 32, false, true},
    {"packed in", {12, 64, 3, 1, 1, 1}, 128, false, false},
    {"packed out", {64, 12, 3, 1, 1, 1}, 128, true, false},
    {"96", {96, 96, 3, 1, 1, 1}, 64, true, false},
    {"160", {160, 160, 3, 1, 1, 1}, 32, true, false},
    {"96-160 down", {96, 160, 3, 2, 0, 1}, 64, false, false},
    {"160-96 up", {160, 96, 3, 1, 1, 1}, 32, false, true},
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *floats(struct rng *rng, size_t count) {
  float *numbers = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
  if (!numbers)
    exit(8);
  for (size_t i = 0; i < count; i++)
    numbers[i] = rng_uniform(rng) - 0.5F;
  return numbers;
}

struct bench {
  const struct bench_case *c;
  struct conv *conv;
  struct conv_input input;
  struct conv_output output;
  float *weight, *dx, *dweight;
};

enum pass { FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHT };

static double run(const struct bench *b, enum pass pass, const struct exec *exec) {
  int size = b->c->size * (b->c->upsample ? 2 : 1);
  double best = 1e9;
  for (int i = 0; i < RUNS; i++) {
    double start = now();
    enum vqct_status status =
        pass == FORWARD ? conv_forward(b->conv, &b->input, &b->output, exec)
        : pass == BACKWARD_INPUT
            ? conv_backward_input(&b->c->shape, b->weight, b->output.y, b->input.images, size, size,
                                  b->dx, exec)
            : conv_backward_weight(&b->c->shape, &b->input, b->output.y, b->dweight, NULL, exec);
    if (status != VQCT_OK)
      exit(8);
    double seconds = now() - start;
    best = seconds < best ? seconds : best;
  }
  return best;
}

static void bench(const struct bench_case *c, int batch, bool backward, const struct exec *exec,
                  struct rng *rng) {
  size_t in = (size_t)c->shape.in_channels, out = (size_t)c->shape.out_channels;
  int full = c->size * (c->upsample ? 2 : 1), side = conv_output_size(&c->shape, full);
  size_t taps = (size_t)(c->shape.kernel * c->shape.kernel), n = (size_t)batch;
  size_t pixels = (size_t)(side * side), groups = out % 32 ? 1 : 32;
  const struct conv_use use = {.upsample = c->upsample};
  struct bench b = {.c = c, .weight = floats(rng, out * in * taps)};
  float *x = floats(rng, n * (size_t)(c->size * c->size) * in), *y = floats(rng, n * pixels * out);
  float *residual = floats(rng, n * pixels * out);
  float *scale = floats(rng, n * in), *shift = floats(rng, n * in), *bias = floats(rng, out);
  double *sums = calloc(2 * n * groups, sizeof *sums);
  if (!sums || conv_new(&c->shape, b.weight, bias, &use, &b.conv, NULL) != VQCT_OK)
    exit(8);
  b.input = (struct conv_input){.x = x,
                                .images = batch,
                                .height = c->size,
                                .width = c->size,
                                .scale = c->norm ? scale : NULL,
                                .shift = shift,
                                .swish = c->norm,
                                .upsample = c->upsample};
  b.output = (struct conv_output){y,    c->norm ? residual : NULL, (int)groups,
                                  sums, sums + n * groups,         NULL};
  b.dx = backward ? floats(rng, n * (size_t)(full * full) * in) : NULL;
  b.dweight = floats(rng, out * in * taps);
  double flops = 2.0 * (double)(in * out * taps * pixels * n);
  printf("%-13s %4d px", c->name, c->size);
  for (int pass = FORWARD; pass <= (backward ? (int)BACKWARD_WEIGHT : (int)FORWARD); pass++) {
    double seconds = run(&b, (enum pass)pass, exec);
    printf("  %8.2f ms %5.0f GFLOP/s", seconds * 1e3 / batch, flops / seconds / 1e9);
    fflush(stdout);
  }
  putchar('\n');
  conv_free(b.conv);
  float *all[] = {x, y, residual, scale, shift, bias, b.weight, b.dx, b.dweight};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    free(all[i]);
  free(sums);
}

int main(int argc, char **argv) {
  unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 2;
  int batch = argc > 2 ? atoi(argv[2]) : 1;
  struct arena arena;
  struct exec exec = {.arena = &arena};
  struct rng rng;
  rng_seed(&rng, 1, 0);
  arena_init(&arena, 0);
  if (pool_new(threads, &exec.pool, NULL) != VQCT_OK)
    return 8;
  printf("%u threads, batch %d: forward%s\n", threads, batch,
         argc > 3 && *argv[3] == 'b' ? ", gradient of input, gradient of weights" : "");
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
    if (argc < 5 || strstr(CASES[i].name, argv[4]))
      bench(&CASES[i], batch, argc > 3 && *argv[3] == 'b', &exec, &rng);
  pool_free(exec.pool);
  arena_free(&arena);
  return 0;
}
