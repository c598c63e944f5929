/* Maximum over windows, stride 2, as PyTorch's MaxPool2d without padding. */
#ifndef KERNELS_MAX_POOL_H
#define KERNELS_MAX_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "exec.h"

/** Windows of kernel x kernel every 2 positions; N images of H x W positions and C channels. */
struct max_pool {
  int kernel;   /* 2 or 3 */
  bool ceiling; /* a last window that is cut by the edge counts too */
  int images, height, width, channels;
};

/** Output rows (or columns) for `size` input rows; 0 where the input is too small. */
int max_pool_output_size(const struct max_pool *pool, int size);

/** y (N,out,out,C) from x (N,H,W,C). */
void max_pool_forward(const struct max_pool *pool, const float *x, float *y,
                      const struct exec *exec);

/** dx, overwritten: each dy goes to the first largest x of its window, rows before columns. */
void max_pool_backward(const struct max_pool *pool, const float *x, const float *dy, float *dx,
                       const struct exec *exec);

#endif
