/* The last step of a convolution: one vector of channels of a pixel goes to memory, with bias and
 * residual, and is counted in the statistics. */
#ifndef KERNELS_EMIT_H
#define KERNELS_EMIT_H

#include "vector.h"

/* Sums over a few pixels in fp32, which are then added to the long sums in double. */
struct short_sums {
  vector sum, square;
};

/* left: channels from this one on that exist. */
ALWAYS_INLINE void emit(const struct epilogue *e, const bool residual, size_t row, size_t column,
                        size_t channel, size_t left, vector value, struct short_sums *sums) {
  size_t at = row * e->row_stride + column * e->pixel_stride + channel;
  if (residual)
    value += load_some(e->residual + at, left);
  store_some(e->y + at, value, left);
  sums->sum += value;
  sums->square = multiply_add(value, value, sums->square);
}

ALWAYS_INLINE void add_in_double(double *to, vector value) {
  float numbers[LANES];
  store(numbers, value);
  for (size_t i = 0; i < LANES; i++)
    to[i] += (double)numbers[i];
}

ALWAYS_INLINE void flush_sums(const struct epilogue *e, size_t channel, struct short_sums *sums) {
  if (e->sums) {
    add_in_double(e->sums + channel, sums->sum);
    add_in_double(e->squares + channel, sums->square);
  }
  *sums = (struct short_sums){{0}, {0}};
}

#endif
