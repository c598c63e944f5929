/* The way out of a convolution computed as a plain product. */
#include "emit.h"

#define SHORT_SUM 16 /* pixels summed in fp32 before they go into a double */

void SIMD_NAME(epilogue)(const float *values, size_t value_stride, const struct epilogue *e) {
  for (size_t channel = 0; channel < e->channels; channel += LANES) {
    vector bias = load(e->bias + channel);
    for (size_t row = 0; row < e->rows; row++)
      for (size_t first = 0; first < e->columns; first += SHORT_SUM) {
        struct short_sums sums = {{0}, {0}};
        size_t end = e->columns - first < SHORT_SUM ? e->columns : first + SHORT_SUM;
        for (size_t column = first; column < end; column++) {
          const float *value = values + (row * e->columns + column) * value_stride + channel;
          emit(e, e->residual, row, column, channel, e->channels - channel, load(value) + bias,
               &sums);
        }
        flush_sums(e, channel, &sums);
      }
  }
}
