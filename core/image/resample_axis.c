#include "resample_axis.h"

#include <math.h>
#include <stdlib.h>

#include "size.h"

void axis_weights_free(struct axis_weights *weights) {
  free(weights->first);
  free(weights->length);
  free(weights->value);
  free(weights->exact);
}

static double bicubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1)
    return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2)
    return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

static int32_t fixed_point(double weight) {
  double scaled = weight * (1 << RESAMPLE_WEIGHT_BITS);
  return (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

/* The run of result number `index` of `full`. */
static void compute_run(struct axis_weights *weights, size_t result, uint64_t index, uint64_t full,
                        uint64_t source) {
  double scale = (double)source / (double)full;
  double stretch = scale < 1 ? 1 : scale; /* enlarging needs no antialiasing */
  double centre = ((double)index + 0.5) * scale;
  double support = 2 * stretch;
  double low = centre - support + 0.5, high = centre + support + 0.5;
  size_t first = low < 0 ? 0 : (size_t)low;
  size_t end = high > (double)source ? (size_t)source : (size_t)high;
  double sum = 0;
  for (size_t i = 0; i < end - first; i++) {
    weights->exact[i] = bicubic(((double)(i + first) - centre + 0.5) * (1 / stretch));
    sum += weights->exact[i];
  }
  for (size_t i = 0; i < end - first; i++)
    weights->value[result * weights->span + i] =
        fixed_point(sum != 0 ? weights->exact[i] / sum : weights->exact[i]);
  weights->first[result] = first;
  weights->length[result] = end - first;
}

bool axis_weights_compute(struct axis_weights *weights, uint64_t source, uint64_t full,
                          uint64_t from, size_t count) {
  double scale = (double)source / (double)full;
  size_t cells;
  *weights = (struct axis_weights){.count = count};
  weights->span = ((size_t)ceil(2 * (scale < 1 ? 1 : scale)) + 1) * 2;
  if (!size_multiply(count, weights->span, &cells))
    return false;
  weights->first = calloc(count, sizeof *weights->first);
  weights->length = calloc(count, sizeof *weights->length);
  weights->value = calloc(cells, sizeof *weights->value);
  weights->exact = calloc(weights->span, sizeof *weights->exact);
  if (!weights->first || !weights->length || !weights->value || !weights->exact)
    return false;
  for (size_t i = 0; i < count; i++)
    compute_run(weights, i, from + i, full, source);
  return true;
}
