/* A normal number takes one of the two that Box and Muller's transform makes, so that the state is
 * all there is to save and to go on from. Numbers below a bound are drawn again where some would
 * come more often than others. */
#include "rng.h"

#include <math.h>

static uint64_t rotate_left(uint64_t x, unsigned bits) {
  return x << bits | x >> (64 - bits);
}

/* splitmix64, the authors' own way to fill the state. */
static uint64_t splitmix(uint64_t *x) {
  uint64_t z = *x += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

void rng_seed(struct rng *rng, uint64_t seed, uint64_t stream) {
  uint64_t x = stream;
  x = splitmix(&x) ^ seed;
  for (int i = 0; i < 4; i++)
    rng->state[i] = splitmix(&x);
}

uint64_t rng_bits(struct rng *rng) {
  uint64_t *s = rng->state;
  uint64_t result = rotate_left(s[1] * 5, 7) * 9;
  uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate_left(s[3], 45);
  return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound) {
  uint64_t unfair = -bound % bound; /* 2^64 modulo bound: that many low values would come twice */
  uint64_t bits;
  do
    bits = rng_bits(rng);
  while (bits < unfair);
  return bits % bound;
}

float rng_uniform(struct rng *rng) {
  return (float)(rng_bits(rng) >> 40) * 0x1p-24f;
}

float rng_normal(struct rng *rng) {
  double radius = sqrt(-2 * log(1 - (double)(rng_bits(rng) >> 11) * 0x1p-53));
  double angle = 6.283185307179586 * ((double)(rng_bits(rng) >> 11) * 0x1p-53);
  return (float)(radius * cos(angle));
}
