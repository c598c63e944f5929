/* What a convolution does to its input on the way in: scale, shift and swish. */
#include "exponential.h"

ALWAYS_INLINE vector swish(vector x) {
  return x / (1.0F + exponential(-x));
}

ALWAYS_INLINE void run(const struct prologue *p, const bool scaled, const bool swished) {
  for (size_t i = 0; i < p->pixels; i++) {
    const float *x = p->x + i * p->x_stride;
    float *to = p->to + i * p->to_stride;
    for (size_t c = 0; c < p->channels; c += LANES) {
      size_t left = p->channels - c;
      vector value = load_some(x + c, left);
      if (scaled)
        value = value * load_some(p->scale + c, left) + load_some(p->shift + c, left);
      if (swished)
        value = swish(value);
      store_some(to + c, value, left);
    }
    for (size_t c = p->channels; c < p->to_stride; c++)
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
  else
    run(p, false, false);
}
