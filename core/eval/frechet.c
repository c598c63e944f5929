/* trace((S1 S2)^(1/2)) is the sum of the square roots of S1 S2's eigenvalues, which are those of
 * the symmetric L^T S2 L where S1 = L L^T. So no square root of a matrix is needed, and of a set
 * with fewer vectors than dimensions only a small matrix is left. */
#include "frechet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "size.h"
#include "symmetric.h"

#define TASK_ROWS ((size_t)8) /* that share one walk through the other factor */

enum vqct_status moments_init(struct moments *moments, size_t dimension, struct vqct_error *error) {
  size_t squared;
  *moments = (struct moments){.dimension = dimension};
  if (size_multiply(dimension, dimension, &squared)) {
    moments->mean = calloc(dimension, sizeof *moments->mean);
    moments->scatter = calloc(squared, sizeof *moments->scatter);
  }
  if (moments->mean && moments->scatter)
    return VQCT_OK;
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

/* S L and then L^T (S L), rows by rows. */
struct sandwich {
  const double *s; /* n,n, lower triangle */
  const double *l; /* n,n of which n,rank count */
  double *product; /* n,rank: S L */
  double *result;  /* rank,rank, lower triangle */
  size_t n, rank;
};

static void product_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct sandwich *job = argument;
  size_t n = job->n, first = task * TASK_ROWS, end = first + TASK_ROWS < n ? first + TASK_ROWS : n;
  memset(job->product + first * job->rank, 0, (end - first) * job->rank * sizeof(double));
  for (size_t k = 0; k < n; k++)
    for (size_t i = first; i < end; i++) {
      double factor = k > i ? job->s[k * n + i] : job->s[i * n + k];
      for (size_t j = 0; j < job->rank; j++)
        job->product[i * job->rank + j] += factor * job->l[k * n + j];
    }
}

static void result_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct sandwich *job = argument;
  size_t rank = job->rank, first = task * TASK_ROWS;
  size_t end = first + TASK_ROWS < rank ? first + TASK_ROWS : rank;
  memset(job->result + first * rank, 0, (end - first) * rank * sizeof(double));
  for (size_t k = 0; k < job->n; k++)
    for (size_t i = first; i < end; i++)
      for (size_t j = 0; j <= i; j++)
        job->result[i * rank + j] += job->l[k * job->n + i] * job->product[k * rank + j];
}

static size_t tasks_for(size_t rows) {
  return (rows + TASK_ROWS - 1) / TASK_ROWS;
}

/* The trace of (A B)^(1/2) of two scatters. buffer: 3 n^2 + 3 n numbers. */
static bool root_trace(const double *a, const double *b, size_t n, double *buffer,
                       struct pool *pool, double *trace) {
  double *factor = buffer, *values = buffer + 3 * n * n, *scratch = values + n;
  struct sandwich job = {
      .s = b, .l = factor, .product = factor + n * n, .result = factor + 2 * n * n, .n = n};
  symmetric_factor(a, n, factor, values, &job.rank);
  pool_run(pool, tasks_for(n), product_rows, &job);
  pool_run(pool, tasks_for(job.rank), result_rows, &job);
  if (!symmetric_eigenvalues(job.result, job.rank, values, scratch))
    return false;
  *trace = 0;
  for (size_t i = 0; i < job.rank; i++) /* rounding may bring one below 0 */
    *trace += sqrt(fmax(values[i], 0));
  return true;
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
  bool found = root_trace(first->scatter, second->scatter, n, buffer, pool, &trace);
  free(buffer);
  for (size_t i = 0; i < n; i++) {
    double apart = first->mean[i] - second->mean[i];
    sum += apart * apart + first->scatter[i * n + i] * scale_first +
           second->scatter[i * n + i] * scale_second;
  }
  *distance = sum - 2 * trace * sqrt(scale_first * scale_second);
  return found && isfinite(*distance)
             ? VQCT_OK
             : error_set(error, VQCT_NOT_FINITE, "the features' distance is not a number");
}
