/* trace((S1 S2)^(1/2)) is the sum of the square roots of S1 S2's eigenvalues, which are those of
 * the symmetric L^T S2 L where S1 = L L^T. So no square root of a matrix is needed, and of a set
 * with fewer vectors than dimensions only a small matrix is left. */
#include "frechet.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "blas.h"
#include "error.h"
#include "size.h"

#define TASK_ROWS ((size_t)128) /* fixed, so that sums do not depend on the team */

enum vqct_status moments_init(struct moments *moments, size_t dimension, struct vqct_error *error) {
  size_t squared;
  *moments = (struct moments){.dimension = dimension};
  if (size_multiply(dimension, dimension, &squared)) {
    moments->mean = calloc(dimension, sizeof *moments->mean);
    moments->scatter = calloc(squared, sizeof *moments->scatter);
  }
  if (moments->mean && moments->scatter)
    return blas_open(error);
  moments_free(moments);
  return error_set(error, VQCT_MEMORY, "no memory for the covariance of %zu features", dimension);
}

void moments_free(struct moments *moments) {
  free(moments->mean);
  free(moments->scatter);
  memset(moments, 0, sizeof *moments);
}

/* Welford's update: nothing large is subtracted from anything large. */
void moments_add(struct moments *moments, const float *x) {
  size_t n = moments->dimension;
  double count = (double)++moments->count, weight = (count - 1) / count;
  for (size_t i = 0; i < n; i++) {
    double apart = ((double)x[i] - moments->mean[i]) * weight, *row = moments->scatter + i * n;
    for (size_t j = 0; j <= i; j++)
      row[j] += apart * ((double)x[j] - moments->mean[j]);
  }
  for (size_t i = 0; i < n; i++)
    moments->mean[i] += ((double)x[i] - moments->mean[i]) / count;
}

/* S L and then L^T (S L), of which a task computes some columns or rows. */
struct sandwich {
  const double *s; /* n,n, lower triangle */
  const double *l; /* n,n of which n,rank count */
  double *product; /* n,rank: S L */
  double *result;  /* rank,rank */
  size_t n, rank;
};

static void product_columns(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct sandwich *job = argument;
  size_t n = job->n, rank = job->rank, first = task * TASK_ROWS;
  blas_multiply_symmetric(&(struct blas_product){.columns = size_least(rank - first, TASK_ROWS),
                                                 .depth = n,
                                                 .a = job->s,
                                                 .b = job->l + first,
                                                 .c = job->product + first,
                                                 .a_stride = n,
                                                 .b_stride = n,
                                                 .c_stride = rank});
}

static void result_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct sandwich *job = argument;
  size_t n = job->n, rank = job->rank, first = task * TASK_ROWS;
  size_t rows = size_least(rank - first, TASK_ROWS);
  blas_multiply(&(struct blas_product){.rows = rows,
                                       .columns = first + rows, /* up to the diagonal */
                                       .depth = n,
                                       .a = job->l + first,
                                       .b = job->product,
                                       .c = job->result + first * rank,
                                       .a_stride = n,
                                       .b_stride = rank,
                                       .c_stride = rank});
}

static bool all_finite(const double *a, size_t n) {
  int finite = 1;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j <= i; j++)
      finite &= isfinite(a[i * n + j]) != 0;
  return finite;
}

/* The trace of (A B)^(1/2) of two scatters. buffer: 3 n^2 + n numbers. */
static enum vqct_status root_trace(const double *a, const double *b, size_t n, double *buffer,
                                   struct pool *pool, double *trace) {
  double *copy = buffer, *factor = buffer + n * n, *values = buffer + 3 * n * n, largest = 0;
  if (!all_finite(a, n) || !all_finite(b, n))
    return VQCT_NOT_FINITE;
  memcpy(copy, a, n * n * sizeof *copy);
  for (size_t i = 0; i < n; i++)
    largest = fmax(largest, a[i * n + i]);
  struct sandwich job = {.s = b, .l = factor, .product = copy, .result = factor + n * n, .n = n};
  enum vqct_status status =
      blas_factor(copy, n, (double)n * DBL_EPSILON * largest, factor, &job.rank);
  if (status != VQCT_OK)
    return status;
  size_t tasks = (job.rank + TASK_ROWS - 1) / TASK_ROWS;
  pool_run(pool, tasks, product_columns, &job);
  pool_run(pool, tasks, result_rows, &job);
  status = blas_eigenvalues(job.result, job.rank, values);
  *trace = 0;
  for (size_t i = 0; status == VQCT_OK && i < job.rank; i++) /* rounding may bring one below 0 */
    *trace += sqrt(fmax(values[i], 0));
  return status;
}

enum vqct_status frechet_distance(const struct moments *first, const struct moments *second,
                                  struct pool *pool, double *distance, struct vqct_error *error) {
  size_t n = first->dimension, numbers;
  double *buffer = NULL, trace = 0, sum = 0;
  if (second->dimension != n || first->count < 2 || second->count < 2)
    return error_set(error, VQCT_INVALID, "a Frechet distance needs two vectors or more of a set");
  if (size_multiply(n + 1, 3 * n * sizeof *buffer, &numbers))
    buffer = malloc(numbers);
  if (!buffer)
    return error_set(error, VQCT_MEMORY, "no memory for the distance of %zu features", n);
  double scale_first = 1 / (double)(first->count - 1);
  double scale_second = 1 / (double)(second->count - 1);
  enum vqct_status status = root_trace(first->scatter, second->scatter, n, buffer, pool, &trace);
  free(buffer);
  if (status == VQCT_MEMORY)
    return error_set(error, VQCT_MEMORY, "no memory for the distance of %zu features", n);
  for (size_t i = 0; i < n; i++) {
    double apart = first->mean[i] - second->mean[i];
    sum += apart * apart + first->scatter[i * n + i] * scale_first +
           second->scatter[i * n + i] * scale_second;
  }
  *distance = sum - 2 * trace * sqrt(scale_first * scale_second);
  return status == VQCT_OK && isfinite(*distance)
             ? VQCT_OK
             : error_set(error, VQCT_NOT_FINITE, "the features' distance is not a number");
}
