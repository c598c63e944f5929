/* OpenBLAS and its LAPACK, in double: what only sums, so that the order of sums may be theirs.
 *
 * The library is loaded when it is first needed, so that a process that computes nothing with it
 * carries none of it. Debian's build starts a thread for each processor that the thread that loads
 * it may run on; it is loaded from a thread that may run on one only, for the moment, so that it
 * starts none, whatever OPENBLAS_NUM_THREADS says. Teams split the work instead. In a process that
 * has loaded OpenBLAS before, the number of its threads stays what that process chose.
 *
 * Any number of threads may call. Matrices are stored by rows.
 */
#ifndef KERNELS_BLAS_H
#define KERNELS_BLAS_H

#include <stdbool.h>
#include <stddef.h>

#include "vqct/status.h"

/** Loads the library, the first time, and compares small products with plain sums. To be called,
 * with success, before any other function here. Errors: UNAVAILABLE (it cannot be loaded, is the
 * build that threads cannot share, or computes wrong results on this processor; the message names
 * OPENBLAS_CORETYPE, which makes it compute as on another). */
enum vqct_status blas_open(struct vqct_error *error);

/** C = A^T B. A: depth,rows  B: depth,columns  C: rows,columns, not overlapping; *_stride: numbers
 * from one row to the next. No size may exceed INT_MAX. */
struct blas_product {
  size_t rows, columns, depth;
  const double *a, *b;
  double *c;
  size_t a_stride, b_stride, c_stride;
};
void blas_multiply(const struct blas_product *product);

/** C = A B, A symmetric (depth,depth) of which only the lower triangle is read; `rows` is not. */
void blas_multiply_symmetric(const struct blas_product *product);

/** Cholesky with complete pivoting of a positive semidefinite matrix (n,n, lower triangle; lost):
 * A = L L^T. factor has n rows of n numbers, of which the first *rank are L's. What A has beyond
 * these columns is at most `least` on the diagonal. Errors: MEMORY. */
enum vqct_status blas_factor(double *a, size_t n, double least, double *factor, size_t *rank);

/** The eigenvalues (n) of a symmetric matrix of finite numbers (n,n, lower triangle; lost), rising.
 * Errors: MEMORY, NOT_FINITE (they do not converge). */
enum vqct_status blas_eigenvalues(double *a, size_t n, double *values);

#endif
