/* What a convolution does to its input on the way in: scale, shift and swish. */
#include "exponential.h"

ALWAYS_INLINE vector change(vector x, const float *scale, const float *shift, size_t count,
                            const bool scaled, const bool swished) {
  if (scaled)
    x = multiply_add(x, load_some(scale, count), load_some(shift, count));
  return swished ? x * sigmoid(x) : x;
}

ALWAYS_INLINE void run(const struct prologue *job, const bool scaled, const bool swished) {
  const struct prologue p = *job; /* which stores cannot change */
  const size_t whole = p.channels / LANES * LANES, left = p.channels - whole;
  for (size_t i = 0; i < p.pixels; i++) {
    const float *x = p.x + i * p.x_stride;
    float *to = p.to + i * p.to_stride;
    for (size_t c = 0; c < whole; c += LANES)
      store(to + c, change(load(x + c), p.scale + c, p.shift + c, LANES, scaled, swished));
    if (left)
      store_some(to + whole,
                 change(load_some(x + whole, left), p.scale + whole, p.shift + whole, left, scaled,
                        swished),
                 left);
    for (size_t c = p.channels; c < p.to_stride; c++)
      to[c] = 0;
  }
}

void SIMD_NAME(prologue)(const struct prologue *p) {
  if (p->scale && p->swish)
    run(p, true, true);
  else if (p->scale)
    run(p, true, false);
  else if (p->swish)
    run(p, false, true);
  else if (p->x_stride == p->channels && p->to_stride == p->channels)
    memcpy(p->to, p->x, p->pixels * p->channels * sizeof *p->to);
  else
    run(p, false, false);
}
