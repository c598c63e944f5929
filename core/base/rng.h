/* Random numbers whose whole state the caller holds (xoshiro256**, Blackman and Vigna 2018).
 * The same seed and stream give the same numbers on every machine. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
  uint64_t state[4];
};

/** Starts the sequence number `stream` of a seed; different streams are independent. */
void rng_seed(struct rng *rng, uint64_t seed, uint64_t stream);

/** The next 64 random bits. */
uint64_t rng_bits(struct rng *rng);

/** A whole number from 0 to bound - 1, each equally likely; bound must not be 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

/** A number in [0, 1), a multiple of 2^-24, so that it is exact as a float. */
float rng_uniform(struct rng *rng);

/** A number from the normal distribution with mean 0 and variance 1. */
float rng_normal(struct rng *rng);

#endif
