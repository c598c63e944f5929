/* What a convolution does to its input on the way in: scale, shift and swish. The same channels of
 * some pixels go through together (exponential.h). */
#include "exponential.h"

struct channels {
  size_t first, count;
  vector scale, shift;
};

ALWAYS_INLINE void change(const struct prologue *p, const struct channels *channels, size_t pixel,
                          const size_t pixels, const bool scaled, const bool swished) {
  const float *from = p->x + pixel * p->x_stride + channels->first;
  float *to = p->to + pixel * p->to_stride + channels->first;
  vector x[SWISH_GROUP];
  UNROLL for (size_t i = 0; i < pixels; i++) {
    x[i] = load_some(from + i * p->x_stride, channels->count);
    __builtin_prefetch(from + i * p->x_stride + p->ahead);
    if (scaled)
      x[i] = multiply_add(x[i], channels->scale, channels->shift);
  }
  if (swished)
    swish(x, pixels);
  UNROLL for (size_t i = 0; i < pixels; i++) {
    store_some(to + i * p->to_stride, x[i], channels->count);
  }
}

/* Pixels `pixel` to end - 1. */
ALWAYS_INLINE void change_pixels(const struct prologue *p, size_t pixel, size_t end, size_t first,
                                 const size_t count, const bool scaled, const bool swished) {
  struct channels channels = {.first = first, .count = count};
  if (scaled) {
    channels.scale = load_some(p->scale + first, count);
    channels.shift = load_some(p->shift + first, count);
  }
  for (; pixel + SWISH_GROUP <= end; pixel += SWISH_GROUP)
    change(p, &channels, pixel, SWISH_GROUP, scaled, swished);
  for (; pixel < end; pixel++)
    change(p, &channels, pixel, 1, scaled, swished);
}

ALWAYS_INLINE void run(const struct prologue *job, const bool scaled, const bool swished) {
  const struct prologue p = *job; /* which stores cannot change */
  const size_t whole = p.channels / LANES * LANES;
  const size_t strip = swish_strip(p.channels);
  for (size_t pixel = 0, end; pixel < p.pixels; pixel = end) {
    end = size_least(p.pixels, pixel + strip);
    for (size_t c = 0; c < whole; c += LANES)
      change_pixels(&p, pixel, end, c, LANES, scaled, swished);
    if (whole < p.channels)
      change_pixels(&p, pixel, end, whole, p.channels - whole, scaled, swished);
  }
  for (size_t i = 0; i < p.pixels; i++)
    for (size_t c = p.channels; c < p.to_stride; c++)
      p.to[i * p.to_stride + c] = 0;
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
