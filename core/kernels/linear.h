/* A linear layer over rows: y = x W^T + b, and its gradients. N rows, I inputs, O outputs. */
#ifndef KERNELS_LINEAR_H
#define KERNELS_LINEAR_H

#include "exec.h"
#include "vqct/status.h"

struct linear {
  size_t inputs, outputs;
  const float *weight; /* O,I */
  const float *bias;   /* O; NULL for none */
};

/** y = x W^T + b. x: N,I  y: N,O, not overlapping. A row of y depends on its row of x alone.
 * Errors: MEMORY (scratch). */
enum vqct_status linear_forward(const struct linear *layer, const float *x, size_t rows, float *y,
                                const struct exec *exec);

/** From dy (N,O): adds to dweight (O,I) and, where it is not NULL, dbias (O); writes dx (N,I) where
 * it is not NULL. Errors: MEMORY (scratch). */
enum vqct_status linear_backward(const struct linear *layer, const float *x, const float *dy,
                                 size_t rows, float *dx, float *dweight, float *dbias,
                                 const struct exec *exec);

#endif
