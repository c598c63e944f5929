/* Products of matrices in fp32. */
#ifndef KERNELS_GEMM_H
#define KERNELS_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "exec.h"

/** One factor: rows from `data`, `stride` numbers from one row to the next. Transposed: the matrix
 * meant is the transpose of what is stored. */
struct gemm_matrix {
  const float *data;
  size_t stride;
  bool transposed;
};

/** C = scale * A B, or C += scale * A B. A: rows x depth, B: depth x columns, C: rows x columns,
 * not transposed. C must not overlap A or B. */
struct gemm {
  size_t rows, columns, depth;
  struct gemm_matrix a, b;
  float scale;
  bool accumulate;
  float *c;
  size_t c_stride;
};

/** Computes the product on the team. An element of C depends on its row of A and its column of B
 * alone, and not on the number of rows, columns or threads: it is summed in the order of depth.
 * Errors: MEMORY (scratch). */
enum vqct_status gemm_run(const struct gemm *gemm, const struct exec *exec);

#endif
