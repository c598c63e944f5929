#include "norm.h"

#include <math.h>

enum vqct_status group_norm_statistics(const float *x, size_t images, size_t positions,
                                       size_t channels, size_t groups, double *sums,
                                       double *squares, const struct exec *exec) {
  (void)exec;
  size_t width = channels / groups;
  for (size_t n = 0; n < images; n++)
    for (size_t g = 0; g < groups; g++) {
      double sum = 0, square = 0;
      for (size_t p = 0; p < positions; p++)
        for (size_t c = g * width; c < (g + 1) * width; c++) {
          double value = x[(n * positions + p) * channels + c];
          sum += value;
          square += value * value;
        }
      sums[n * groups + g] = sum;
      squares[n * groups + g] = square;
    }
  return VQCT_OK;
}

void group_norm_scale(const double *sums, const double *squares, const float *gamma,
                      const float *beta, size_t images, size_t positions, size_t channels,
                      size_t groups, float *scale, float *shift) {
  size_t width = channels / groups;
  double count = (double)(positions * width);
  for (size_t i = 0; i < images * groups; i++) {
    double mean = sums[i] / count;
    double variance = squares[i] / count - mean * mean;
    double inverse = 1.0 / sqrt((variance < 0 ? 0 : variance) + NORM_EPSILON);
    for (size_t k = 0; k < width; k++) {
      size_t c = i % groups * width + k, at = i / groups * channels + c;
      scale[at] = (float)(gamma[c] * inverse);
      shift[at] = (float)(beta[c] - mean * gamma[c] * inverse);
    }
  }
}

void norm_apply(const float *x, size_t images, size_t positions, size_t channels,
                const float *scale, const float *shift, bool swish, float *y,
                const struct exec *exec) {
  (void)exec;
  for (size_t n = 0; n < images; n++)
    for (size_t p = 0; p < positions; p++)
      for (size_t c = 0; c < channels; c++) {
        size_t at = (n * positions + p) * channels + c;
        float v = x[at] * scale[n * channels + c] + shift[n * channels + c];
        y[at] = swish ? v / (1.0F + expf(-v)) : v;
      }
}
