#include "symmetric.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define ROUNDS_MAX 60 /* of QL for one eigenvalue; 2 or 3 are usual */

/* ---- Cholesky -------------------------------------------------------------------------------- */

/* Column k of the factor, from the pivot's row of what is left of A. A itself stays: the columns
 * before k are taken off the one row that is needed. */
static void factor_column(const double *a, size_t n, size_t k, size_t pivot, double *factor,
                          double *diagonal) {
  const double *row = factor + pivot * n;
  double root = sqrt(diagonal[pivot]);
  for (size_t i = 0; i < n; i++) {
    double value = i > pivot ? a[i * n + pivot] : a[pivot * n + i];
    double *to = factor + i * n;
    if (diagonal[i] < 0) { /* it has been a pivot, whose row is complete */
      to[k] = 0;
      continue;
    }
    for (size_t j = 0; j < k; j++)
      value -= to[j] * row[j];
    to[k] = i == pivot ? root : value / root;
    if (i != pivot)
      diagonal[i] = fmax(diagonal[i] - to[k] * to[k], 0);
  }
  diagonal[pivot] = -1;
}

void symmetric_factor(const double *a, size_t n, double *factor, double *diagonal, size_t *rank) {
  double least = 0;
  for (size_t i = 0; i < n; i++)
    diagonal[i] = a[i * n + i];
  for (*rank = 0; *rank < n; ++*rank) {
    size_t pivot = 0;
    for (size_t i = 1; i < n; i++)
      if (diagonal[i] > diagonal[pivot])
        pivot = i;
    if (*rank == 0)
      least = (double)n * DBL_EPSILON * diagonal[pivot];
    if (!(diagonal[pivot] > least))
      return;
    factor_column(a, n, *rank, pivot, factor, diagonal);
  }
}

/* ---- eigenvalues ----------------------------------------------------------------------------- */

static double dot(const double *x, const double *y, size_t n) {
  double sum[4] = {0};
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (size_t k = 0; k < 4; k++)
      sum[k] += x[i + k] * y[i + k];
  for (; i < n; i++)
    sum[0] += x[i] * y[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* product = A v for the leading m x m part of A, of which only the lower triangle is there. */
static void multiply(const double *a, size_t n, size_t m, const double *v, double *product) {
  memset(product, 0, m * sizeof *product);
  for (size_t i = 0; i < m; i++) {
    const double *row = a + i * n;
    for (size_t j = 0; j < i; j++)
      product[j] += row[j] * v[i];
    product[i] += dot(row, v, i) + row[i] * v[i];
  }
}

/* Brings row m of A to its last off-diagonal number, which it returns, by a reflection of the
 * leading m x m part: A -= v w^T + w v^T. The reflection's vector v takes the row's place. */
static double reflect(double *a, size_t n, size_t m, double *w) {
  double *v = a + m * n, length = sqrt(dot(v, v, m));
  if (length <= 0 || m < 2)
    return v[m - 1];
  double last = v[m - 1] > 0 ? -length : length;
  v[m - 1] -= last;
  double half = dot(v, v, m) / 2; /* the reflection is I - v v^T / half */
  if (!(half > 0))
    return last;
  multiply(a, n, m, v, w);
  for (size_t i = 0; i < m; i++)
    w[i] /= half;
  double along = dot(v, w, m) / (2 * half);
  for (size_t i = 0; i < m; i++)
    w[i] -= along * v[i];
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j <= i; j++)
      a[i * n + j] -= v[i] * w[j] + w[i] * v[j];
  return last;
}

/* One round of implicit QL on the diagonal d and the numbers e below it, from `first` to `last`,
 * between which no e is negligible. */
static void ql_round(double *d, double *e, size_t first, size_t last) {
  double shift = (d[first + 1] - d[first]) / (2 * e[first]);
  double root = hypot(shift, 1);
  double g = d[last] - d[first] + e[first] / (shift + copysign(root, shift));
  double s = 1, c = 1, p = 0;
  for (size_t i = last; i-- > first;) {
    double f = s * e[i], b = c * e[i];
    e[i + 1] = root = hypot(f, g);
    if (root <= 0) { /* it splits here */
      d[i + 1] -= p;
      e[last] = 0;
      return;
    }
    s = f / root;
    c = g / root;
    g = d[i + 1] - p;
    double turned = (d[i] - g) * s + 2 * c * b;
    p = s * turned;
    d[i + 1] = g + p;
    g = c * turned - b;
  }
  d[first] -= p;
  e[first] = g;
  e[last] = 0;
}

static bool ql(double *d, double *e, size_t n) {
  for (size_t first = 0; first < n; first++)
    for (int round = 0;; round++) {
      size_t last = first;
      while (last + 1 < n && fabs(e[last]) > DBL_EPSILON * (fabs(d[last]) + fabs(d[last + 1])))
        last++;
      if (last == first)
        break;
      if (round == ROUNDS_MAX)
        return false;
      ql_round(d, e, first, last);
    }
  return true;
}

bool symmetric_eigenvalues(double *a, size_t n, double *values, double *scratch) {
  double *below = scratch, *w = scratch + n;
  for (size_t m = n; m-- > 1;)
    below[m - 1] = reflect(a, n, m, w);
  for (size_t i = 0; i < n; i++)
    values[i] = a[i * n + i];
  if (n)
    below[n - 1] = 0;
  bool finite = true;
  for (size_t i = 0; i < n; i++)
    finite = finite && isfinite(values[i]) && isfinite(below[i]);
  return finite && ql(values, below, n);
}
