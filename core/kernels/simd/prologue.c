/* What a convolution does to its input on the way in: scale, shift and swish. The same channels of
 * some pixels go through together (exponential.h). */
#include "exponential.h"

/* `count` channels from channel c on of some pixels. */
ALWAYS_INLINE void change(const struct prologue *p, size_t pixel, const size_t pixels, size_t c,
                          size_t count, const bool scaled, const bool swished) {
  const float *from = p->x + pixel * p->x_stride + c;
  float *to = p->to + pixel * p->to_stride + c;
  vector x[SWISH_GROUP];
  UNROLL for (size_t i = 0; i < pixels; i++) {
    x[i] = load_some(from + i * p->x_stride, count);
    __builtin_prefetch(from + i * p->x_stride + p->ahead);
    if (scaled)
      x[i] = multiply_add(x[i], load_some(p->scale + c, count), load_some(p->shift + c, count));
  }
  if (swished)
    swish(x, pixels);
  UNROLL for (size_t i = 0; i < pixels; i++) {
    store_some(to + i * p->to_stride, x[i], count);
  }
}

ALWAYS_INLINE void change_pixels(const struct prologue *p, size_t pixel, const size_t pixels,
                                 const bool scaled, const bool swished) {
  const size_t whole = p->channels / LANES * LANES;
  for (size_t c = 0; c < whole; c += LANES)
    change(p, pixel, pixels, c, LANES, scaled, swished);
  if (whole < p->channels)
    change(p, pixel, pixels, whole, p->channels - whole, scaled, swished);
  for (size_t i = pixel; i < pixel + pixels; i++)
    for (size_t c = p->channels; c < p->to_stride; c++)
      p->to[i * p->to_stride + c] = 0;
}

ALWAYS_INLINE void run(const struct prologue *job, const bool scaled, const bool swished) {
  const struct prologue p = *job; /* which stores cannot change */
  size_t i = 0;
  for (; i + SWISH_GROUP <= p.pixels; i += SWISH_GROUP)
    change_pixels(&p, i, SWISH_GROUP, scaled, swished);
  for (; i < p.pixels; i++)
    change_pixels(&p, i, 1, scaled, swished);
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
