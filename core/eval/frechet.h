/* The Frechet distance between two sets of feature vectors, each taken as a normal distribution:
 *
 *   |m1 - m2|^2 + trace(S1 + S2 - 2 (S1 S2)^(1/2))
 *
 * with the sets' means m and covariances S (divided by count - 1). On Inception's features it is
 * the FID (Heusel et al. 2017). It is biased upwards for small sets: with no more vectors than
 * dimensions the covariances are not even of full rank.
 */
#ifndef EVAL_FRECHET_H
#define EVAL_FRECHET_H

#include <stddef.h>
#include <stdint.h>

#include "pool.h"
#include "vqct/status.h"

/** Running mean and scatter of vectors of d numbers. */
struct moments {
  size_t dimension; /* d */
  uint64_t count;
  double *mean;    /* d */
  double *scatter; /* d,d: sum of (x - mean)(x - mean)^T; the lower triangle alone */
};

/** No vectors yet. Takes 8 d^2 bytes from malloc, which moments_free gives back. Errors: MEMORY,
 * UNAVAILABLE (OpenBLAS, as blas_open has it). */
enum vqct_status moments_init(struct moments *moments, size_t dimension, struct vqct_error *error);

/** Frees the blocks; cleared memory is allowed. */
void moments_free(struct moments *moments);

/** Adds one vector of d numbers. */
void moments_add(struct moments *moments, const float *x);

/** The distance of two sets of the same dimension with at least 2 vectors each. Time grows with d^3
 * or, where a set is smaller than d, with d^2 times its size. The result does not depend on the
 * number of threads. Errors: INVALID (a set is too small), NOT_FINITE, MEMORY. */
enum vqct_status frechet_distance(const struct moments *first, const struct moments *second,
                                  struct pool *pool, double *distance, struct vqct_error *error);

#endif
