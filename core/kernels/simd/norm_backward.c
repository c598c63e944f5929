/* The two passes over memory of a normalisation's backward pass (core/kernels/norm_backward.c). */
#include "exponential.h"

/* The derivative of swish is s * (1 + u * (1 - s)) with s = 1 / (1 + exp(-u)). */
ALWAYS_INLINE vector swish_gradient(vector u) {
  vector s = sigmoid(u);
  return s * multiply_add(u, 1.0F - s, broadcast(1));
}

ALWAYS_INLINE void sum_pixel(const struct norm_sums *n, const float *x, float *da,
                             const bool swished) {
  for (size_t c = 0; c < n->channels; c += LANES) {
    size_t left = n->channels - c;
    vector value = load_some(x + c, left), du = load_some(da + c, left);
    if (swished) {
      du *= swish_gradient(
          multiply_add(value, load_some(n->scale + c, left), load_some(n->shift + c, left)));
      store_some(da + c, du, left);
    }
    store_some(n->sums + c, load_some(n->sums + c, left) + du, left);
    store_some(n->products + c, multiply_add(du, value, load_some(n->products + c, left)), left);
  }
}

void SIMD_NAME(norm_sums)(const struct norm_sums *n) {
  for (size_t i = 0; i < n->pixels; i++) {
    size_t at = i * n->channels;
    if (n->swish)
      sum_pixel(n, n->x + at, n->da + at, true);
    else
      sum_pixel(n, n->x + at, n->da + at, false);
  }
}

void SIMD_NAME(norm_input)(const struct norm_input *n) {
  for (size_t i = 0; i < n->pixels; i++)
    for (size_t c = 0; c < n->channels; c += LANES) {
      size_t left = n->channels - c, at = i * n->channels + c;
      vector dx = multiply_add(load_some(n->x + at, left), load_some(n->slope + c, left),
                               load_some(n->offset + c, left));
      dx = multiply_add(load_some(n->du + at, left), load_some(n->scale + c, left), dx);
      if (n->accumulate)
        dx += load_some(n->dx + at, left);
      store_some(n->dx + at, dx, left);
    }
}
