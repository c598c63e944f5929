/* Every backward pass against central differences of its own forward pass.
 *
 * A subject has blocks of numbers that its value, a double, depends on, and says what the gradient
 * of the value is for each. Along a random direction u the slope (value(+h) - value(-h)) / 2h must
 * be gradient . u. u has numbers of variance 1, so a gradient that is wrong by a share e of its
 * length is off by about e times its length, and that is what errors are measured in. Two steps, h
 * and h/2, are extrapolated so that what remains is of the order of h^4.
 *
 * Tolerances: values are fp32 sums and carry errors of about 1e-7 of their size, which a step of h
 * magnifies to 1e-7 / h; with h = 1e-2, 1e-5, and some times that through the layers of a network.
 * Where relu, a maximum or |x| bends sharply a smaller step keeps kinks rare and each one that is
 * met costs about h; the tolerances beside the tables say so.
 */
#ifndef TESTS_GRADIENT_CHECK_H
#define TESTS_GRADIENT_CHECK_H

#include "../kernels/kernel_fixture.h"

#define BLOCKS_MAX 200
#define IMAGES     2
#define DIRECTIONS 2

struct numbers {
  const char *name;
  size_t count;
  float *values, *gradient;
  bool borrowed; /* the memory is part of another block */
};

struct subject {
  const char *name;
  double (*value)(struct subject *subject);
  void (*derive)(struct subject *subject); /* adds to gradients that are 0 */
  void *state;
  int blocks;
  struct numbers block[BLOCKS_MAX];
  float *weights; /* of the outputs in the value */
  struct place place;
};

static inline void open_subject(struct subject *subject, const char *name, void *state,
                                double (*value)(struct subject *),
                                void (*derive)(struct subject *)) {
  memset(subject, 0, sizeof *subject);
  subject->name = name;
  subject->state = state;
  subject->value = value;
  subject->derive = derive;
  place_open(&subject->place, 2, NULL);
}

static inline float *add_block(struct subject *subject, const char *name, size_t count) {
  float *values = normal_floats(count, 10 + (uint64_t)subject->blocks);
  float *gradient = calloc(count, sizeof *gradient);
  ck_assert_ptr_nonnull(gradient);
  subject->block[subject->blocks++] = (struct numbers){name, count, values, gradient, false};
  return values;
}

static inline void close_subject(struct subject *subject) {
  for (int i = 0; i < subject->blocks; i++)
    if (!subject->block[i].borrowed) {
      free(subject->block[i].values);
      free(subject->block[i].gradient);
    }
  free(subject->weights);
  place_close(&subject->place);
}

/* A sum of the outputs with random weights: a value whose gradient for y is those weights. */
static inline double weigh(const struct subject *subject, const float *y, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += (double)subject->weights[i] * (double)y[i];
  return sum;
}

static inline float *take(struct subject *subject, size_t count) {
  float *memory = arena_alloc(&subject->place.arena, count * sizeof *memory);
  ck_assert_ptr_nonnull(memory);
  return memory;
}

/* ---- the comparison -------------------------------------------------------------------------- */

static inline double length_of(const float *v, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += (double)v[i] * (double)v[i];
  return sqrt(sum);
}

/* The slope by differences less the slope by the gradient, along the step that floats really took.
 */
static inline double slope_error(struct subject *subject, const struct numbers *block,
                                 const float *start, const float *direction, double step) {
  double value[2], slope = 0;
  for (int side = 0; side < 2; side++) {
    for (size_t i = 0; i < block->count; i++) {
      float moved = (float)((double)start[i] + (side ? -step : step) * (double)direction[i]);
      slope += (side ? -1 : 1) * (double)moved * (double)block->gradient[i];
      block->values[i] = moved;
    }
    value[side] = subject->value(subject);
  }
  memcpy(block->values, start, block->count * sizeof *start);
  return (value[0] - value[1] - slope) / (2 * step);
}

/* Slopes at two steps, extrapolated: what the gradient is off by along a direction. */
static inline double gradient_error(struct subject *subject, const struct numbers *block,
                                    const float *start, const float *direction, double step) {
  return (4 * slope_error(subject, block, start, direction, step / 2) -
          slope_error(subject, block, start, direction, step)) /
         3;
}

/* step: beside numbers of a size of 1; others are moved in proportion. */
static inline void check_subject(struct subject *subject, double step, double tolerance) {
  subject->derive(subject);
  double longest = 0;
  for (int i = 0; i < subject->blocks; i++)
    longest = fmax(longest, length_of(subject->block[i].gradient, subject->block[i].count));
  for (int i = 0; i < subject->blocks; i++) {
    const struct numbers *block = &subject->block[i];
    size_t bytes = block->count * sizeof(float);
    float *start = malloc(bytes);
    ck_assert_ptr_nonnull(start);
    memcpy(start, block->values, bytes);
    double size = length_of(start, block->count) / sqrt((double)block->count);
    double h = step * (size > 0 ? fmin(size, 1) : 1);
    /* A bias before a norm has no gradient but rounding. */
    double length = fmax(length_of(block->gradient, block->count), 1e-2 * longest);
    for (int d = 0; d < DIRECTIONS; d++) {
      float *direction = normal_floats(block->count, (uint64_t)(1000 + i * DIRECTIONS + d));
      double error = gradient_error(subject, block, start, direction, h) / length;
      ck_assert_msg(fabs(error) < tolerance, "%s, %s: off by %g of the gradient", subject->name,
                    block->name, error);
      free(direction);
    }
    free(start);
  }
}

/* Along the gradient itself, whose slope is steeper by the square root of `count` than along a
 * random direction, so kinks weigh less. After check_subject, with numbers of a size of 1. */
static inline void check_steepest(struct subject *subject, const struct numbers *block, double step,
                                  double tolerance) {
  double length = length_of(block->gradient, block->count);
  double size = sqrt((double)block->count);
  float *start = malloc(block->count * sizeof *start);
  float *direction = malloc(block->count * sizeof *direction);
  ck_assert(start && direction && length > 0);
  memcpy(start, block->values, block->count * sizeof *start);
  for (size_t i = 0; i < block->count; i++)
    direction[i] = (float)((double)block->gradient[i] * size / length);
  double error = gradient_error(subject, block, start, direction, step) / (length * size);
  ck_assert_msg(fabs(error) < tolerance, "%s, %s: off by %g of the gradient along itself",
                subject->name, block->name, error);
  free(start);
  free(direction);
}

#endif
