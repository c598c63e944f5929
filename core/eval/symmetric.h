/* Two decompositions of symmetric matrices in double. */
#ifndef EVAL_SYMMETRIC_H
#define EVAL_SYMMETRIC_H

#include <stdbool.h>
#include <stddef.h>

/** Cholesky with complete pivoting of a positive semidefinite matrix (n,n, lower triangle):
 * A = L L^T. factor has n rows of n numbers, of which the first *rank are L's. diagonal: n numbers
 * of scratch. What A has beyond these columns is rounding. */
void symmetric_factor(const double *a, size_t n, double *factor, double *diagonal, size_t *rank);

/** The eigenvalues of a symmetric matrix (n,n, lower triangle; lost), in no order, by Householder's
 * tridiagonal form and the implicit QL algorithm (Golub and Van Loan, 8.3). scratch: 2 n numbers.
 * False where they do not converge, as with NaN. */
bool symmetric_eigenvalues(double *a, size_t n, double *values, double *scratch);

#endif
