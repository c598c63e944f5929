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

/* Half a vector's numbers, and as many of twice the size. */
typedef float vector_half __attribute__((vector_size(LANES * sizeof(float) / 2)));
typedef double vector_double __attribute__((vector_size(LANES * sizeof(float))));
typedef double vector_double_loose
    __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(double)), may_alias));

ALWAYS_INLINE void add_in_double(double *to, vector value) {
  vector_half half[2];
  memcpy(half, &value, sizeof value);
  UNROLL for (size_t i = 0; i < 2; i++) {
    vector_double_loose *sums = (vector_double_loose *)(to + i * LANES / 2);
    *sums += __builtin_convertvector(half[i], vector_double);
  }
}

ALWAYS_INLINE void flush_sums(const struct epilogue *e, size_t channel, struct short_sums *sums) {
  if (e->sums) {
    add_in_double(e->sums + channel, sums->sum);
    add_in_double(e->squares + channel, sums->square);
  }
  *sums = (struct short_sums){{0}, {0}};
}

#endif
