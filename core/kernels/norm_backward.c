/* With u = x * scale + shift (normalisation as one scale and shift per image and channel) and du
 * the gradient for u, everything follows from two sums per image and channel, A = sum du,   B = sum
 * du * x, since dbeta = sum A, dgamma = sum (B - mean A) / deviation, and dx = du * scale + x *
 * slope + offset with a slope and an offset per image and group. The first pass over memory turns
 * da into du and sums; the second writes dx.
 */
#include "norm_backward.h"

#include <math.h>
#include <string.h>

#include "norm.h"
#include "simd.h"
#include "size.h"

/* Positions a task sums: few enough that float sums stay exact to 1e-6, and that x and da of a
 * block stay in the cache. Depends on the layer alone. */
#define BLOCK_POSITIONS 64
/* Of x in the pictures that both passes follow each other over: x and da stay in the last cache. */
#define CACHE_NUMBERS ((size_t)1 << 19)
#define SLICE         ((size_t)16) /* sums of channels that a task adds up: a cache line */

struct backward {
  const struct norm_pass *pass;
  const float *residual;
  float *da, *dx;
  const struct simd *simd;
  float *scale, *shift;  /* N,C */
  float *slope, *offset; /* N,C */
  float *partial;        /* N,blocks,2,C: A and B of each block */
  double *totals;        /* N,2,C: A and B */
  size_t blocks;         /* of positions, per image */
};

/* Block of positions that a task works on: where it begins and how long it is. */
static size_t block_begin(const struct backward *work, size_t task, size_t *count) {
  size_t positions = work->pass->positions;
  size_t begin = task % work->blocks * BLOCK_POSITIONS;
  *count = positions - begin < BLOCK_POSITIONS ? positions - begin : BLOCK_POSITIONS;
  return task / work->blocks * positions + begin;
}

/* Slices of one image's sums. */
static size_t slices_of(const struct norm_pass *pass) {
  return (2 * pass->channels + SLICE - 1) / SLICE;
}

static void sum_block(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct backward *work = argument;
  const struct norm_pass *pass = work->pass;
  size_t channels = pass->channels, count, first = block_begin(work, task, &count);
  size_t image = task / work->blocks;
  float *sums = work->partial + task * 2 * channels;
  memset(sums, 0, 2 * channels * sizeof *sums);
  work->simd->norm_sums(&(struct norm_sums){.x = pass->x + first * channels,
                                            .da = work->da + first * channels,
                                            .pixels = count,
                                            .channels = channels,
                                            .scale = work->scale + image * channels,
                                            .shift = work->shift + image * channels,
                                            .swish = pass->swish,
                                            .sums = sums,
                                            .products = sums + channels});
}

static void write_block(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct backward *work = argument;
  const float *residual = work->residual;
  size_t channels = work->pass->channels, count, first = block_begin(work, task, &count);
  size_t image = task / work->blocks;
  work->simd->norm_input(
      &(struct norm_input){.x = work->pass->x + first * channels,
                           .du = work->da + first * channels,
                           .residual = residual ? residual + first * channels : NULL,
                           .dx = work->dx + first * channels,
                           .pixels = count,
                           .channels = channels,
                           .scale = work->scale + image * channels,
                           .slope = work->slope + image * channels,
                           .offset = work->offset + image * channels});
}

/* Adds up A and B of some channels of an image over its blocks. */
static void sum_channels(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct backward *work = argument;
  size_t row = 2 * work->pass->channels, slices = slices_of(work->pass);
  size_t image = task / slices, first = task % slices * SLICE;
  size_t count = size_least(row - first, SLICE);
  const float *partial = work->partial + image * work->blocks * row + first;
  double sums[SLICE] = {0};
  for (size_t block = 0; block < work->blocks; block++)
    for (size_t c = 0; c < count; c++)
      sums[c] += (double)partial[block * row + c];
  memcpy(work->totals + image * row + first, sums, count * sizeof *sums);
}

/* What the sums say of one group. */
struct group {
  double mean, inverse, count; /* inverse of the deviation; numbers that the mean is over */
  size_t begin, end;           /* channels */
};

static struct group group_at(const struct norm_pass *pass, size_t image, size_t index) {
  size_t width = pass->channels / pass->groups, at = image * pass->groups + index;
  int ranks = pass->reduction ? pass->reduction->ranks : 1;
  struct group group = {.begin = index * width, .end = (index + 1) * width};
  group.count = (double)(pass->positions * width) * ranks;
  group.mean = pass->sums[at] / group.count;
  double variance = pass->squares[at] / group.count - group.mean * group.mean;
  group.inverse = 1.0 / sqrt((variance < 0 ? 0 : variance) + NORM_EPSILON);
  return group;
}

/* This process's share of dgamma and dbeta. */
static void add_parameter_gradients(const struct backward *work, size_t image,
                                    const struct group *group, float *dgamma, float *dbeta) {
  const double *a = work->totals + image * 2 * work->pass->channels, *b = a + work->pass->channels;
  for (size_t c = group->begin; c < group->end; c++) {
    dgamma[c] += (float)((b[c] - group->mean * a[c]) * group->inverse);
    dbeta[c] += (float)a[c];
  }
}

/* Slope and offset of a group, from the sums over all processes. */
static void find_slope(const struct backward *work, size_t image, const struct group *group) {
  size_t channels = work->pass->channels;
  const double *a = work->totals + image * 2 * channels, *b = a + channels;
  const float *gamma = work->pass->gamma;
  double sum = 0, product = 0; /* of gamma du, and of gamma du times the normalised x */
  for (size_t c = group->begin; c < group->end; c++) {
    sum += (double)gamma[c] * a[c];
    product += (double)gamma[c] * (b[c] - group->mean * a[c]) * group->inverse;
  }
  double slope = -group->inverse * group->inverse * product / group->count;
  double offset = -group->inverse * sum / group->count - slope * group->mean;
  for (size_t c = group->begin; c < group->end; c++) {
    work->slope[image * channels + c] = (float)slope;
    work->offset[image * channels + c] = (float)offset;
    work->scale[image * channels + c] = (float)(gamma[c] * group->inverse);
  }
}

static void finish(const struct backward *work, float *dgamma, float *dbeta) {
  const struct norm_pass *pass = work->pass;
  const struct reduction *reduction = pass->reduction;
  for (size_t i = 0; i < pass->images * pass->groups; i++) {
    struct group group = group_at(pass, i / pass->groups, i % pass->groups);
    if (dgamma)
      add_parameter_gradients(work, i / pass->groups, &group, dgamma, dbeta);
  }
  if (reduction)
    reduction->sum(reduction->context, work->totals, pass->images * 2 * pass->channels);
  for (size_t i = 0; i < pass->images * pass->groups; i++) {
    struct group group = group_at(pass, i / pass->groups, i % pass->groups);
    find_slope(work, i / pass->groups, &group);
  }
}

/* Both passes over some pictures. */
static enum vqct_status backward(const struct norm_pass *pass, float *da, const float *residual,
                                 float *dx, float *dgamma, float *dbeta, const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t rows = pass->images * pass->channels;
  struct backward work = {
      .pass = pass, .residual = residual, .da = da, .dx = dx, .simd = simd_best(exec->simd)};
  work.blocks = (pass->positions + BLOCK_POSITIONS - 1) / BLOCK_POSITIONS;
  float *vectors = arena_alloc(exec->arena, 4 * rows * sizeof *vectors);
  work.partial = arena_alloc(exec->arena, 2 * rows * work.blocks * sizeof *work.partial);
  work.totals = arena_alloc(exec->arena, 2 * rows * sizeof *work.totals);
  if (!vectors || !work.partial || !work.totals) {
    arena_release(exec->arena, mark);
    return VQCT_MEMORY;
  }
  work.scale = vectors;
  work.shift = vectors + rows;
  work.slope = vectors + 2 * rows;
  work.offset = vectors + 3 * rows;
  if (pass->swish)
    group_norm_scale(pass->sums, pass->squares, pass->gamma, pass->beta, pass->images,
                     pass->positions, pass->channels, pass->groups, work.scale, work.shift);
  pool_run(exec->pool, pass->images * work.blocks, sum_block, &work);
  pool_run(exec->pool, pass->images * slices_of(pass), sum_channels, &work);
  finish(&work, dgamma, dbeta);
  pool_run(exec->pool, pass->images * work.blocks, write_block, &work);
  arena_release(exec->arena, mark);
  return VQCT_OK;
}

enum vqct_status group_norm_backward(const struct norm_pass *pass, float *da, const float *residual,
                                     float *dx, float *dgamma, float *dbeta,
                                     const struct exec *exec) {
  size_t size = pass->positions * pass->channels, most = CACHE_NUMBERS / size;
  struct norm_pass part = *pass;
  enum vqct_status status = VQCT_OK;
  for (size_t n = 0; n < pass->images && status == VQCT_OK; n += part.images) {
    part.images = size_least(most ? most : 1, pass->images - n);
    part.x = pass->x + n * size;
    part.sums = pass->sums + n * pass->groups;
    part.squares = pass->squares + n * pass->groups;
    status = backward(&part, da + n * size, residual ? residual + n * size : NULL, dx + n * size,
                      dgamma, dbeta, exec);
  }
  return status;
}
