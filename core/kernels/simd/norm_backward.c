/* The two passes over memory of a normalisation's backward pass (core/kernels/norm_backward.c). */
#include "exponential.h"

/* The derivatives of swish, s * (1 + u * (1 - s)) with s = 1 / (1 + exp(-u)), of `count` vectors.
 */
ALWAYS_INLINE void swish_gradients(vector *u, const size_t count) {
  vector d[SWISH_GROUP];
  swish_divisors(u, d, count);
  UNROLL for (size_t i = 0; i < count; i++) {
    vector s = inverse(d[i]);
    u[i] = s * multiply_add(u[i], 1.0F - s, broadcast(1));
  }
}

/* Some channels, and their sums so far. */
struct channels {
  size_t first, count;
  vector scale, shift, sum, product;
};

ALWAYS_INLINE void sum_some(const struct norm_sums *n, struct channels *channels, size_t pixel,
                            const size_t pixels, const bool swished) {
  const float *x = n->x + pixel * n->channels + channels->first;
  float *da = n->da + pixel * n->channels + channels->first;
  vector value[SWISH_GROUP], gradient[SWISH_GROUP];
  UNROLL for (size_t i = 0; i < pixels; i++) {
    value[i] = load_some(x + i * n->channels, channels->count);
    if (swished)
      gradient[i] = multiply_add(value[i], channels->scale, channels->shift);
  }
  if (swished)
    swish_gradients(gradient, pixels);
  UNROLL for (size_t i = 0; i < pixels; i++) {
    vector du = load_some(da + i * n->channels, channels->count);
    if (swished) {
      du *= gradient[i];
      store_some(da + i * n->channels, du, channels->count);
    }
    channels->sum += du;
    channels->product = multiply_add(du, value[i], channels->product);
  }
}

/* `count` channels from channel c on of pixels `pixel` to end - 1. */
ALWAYS_INLINE void sum_pixels(const struct norm_sums *n, size_t pixel, size_t end, size_t c,
                              const size_t count, const bool swished) {
  struct channels channels = {
      .first = c,
      .count = count,
      .sum = load_some(n->sums + c, count),
      .product = load_some(n->products + c, count),
  };
  if (swished) {
    channels.scale = load_some(n->scale + c, count);
    channels.shift = load_some(n->shift + c, count);
  }
  for (; pixel + SWISH_GROUP <= end; pixel += SWISH_GROUP)
    sum_some(n, &channels, pixel, SWISH_GROUP, swished);
  for (; pixel < end; pixel++)
    sum_some(n, &channels, pixel, 1, swished);
  store_some(n->sums + c, channels.sum, count);
  store_some(n->products + c, channels.product, count);
}

ALWAYS_INLINE void sum_all(const struct norm_sums *job, const bool swished) {
  const struct norm_sums n = *job; /* which stores cannot change */
  const size_t whole = n.channels / LANES * LANES;
  const size_t strip = swish_strip(n.channels);
  for (size_t pixel = 0, end; pixel < n.pixels; pixel = end) {
    end = size_least(n.pixels, pixel + strip);
    for (size_t c = 0; c < whole; c += LANES)
      sum_pixels(&n, pixel, end, c, LANES, swished);
    if (whole < n.channels)
      sum_pixels(&n, pixel, end, whole, n.channels - whole, swished);
  }
}

void SIMD_NAME(norm_sums)(const struct norm_sums *n) {
  if (n->swish)
    sum_all(n, true);
  else
    sum_all(n, false);
}

void SIMD_NAME(norm_input)(const struct norm_input *n) {
  for (size_t i = 0; i < n->pixels; i++)
    for (size_t c = 0; c < n->channels; c += LANES) {
      size_t left = n->channels - c, at = i * n->channels + c;
      vector dx = multiply_add(load_some(n->x + at, left), load_some(n->slope + c, left),
                               load_some(n->offset + c, left));
      dx = multiply_add(load_some(n->du + at, left), load_some(n->scale + c, left), dx);
      if (n->residual)
        dx += load_some(n->residual + at, left);
      store_some(n->dx + at, dx, left);
    }
}
