/* The one file that calls OpenBLAS. Every function is looked up once and, before anybody may use
 * it, products that reach the edges of its kernels are compared with plain sums: some versions are
 * wrong on some processors. A semaphore bounds how many calls run at once, since the library ends
 * the process where it runs out of its buffers.
 */
#define _GNU_SOURCE /* sched_setaffinity */
#include "blas.h"

#include <dlfcn.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define LIBRARY "libopenblas.so.0"
#define CALLS_MAX                                                                                  \
  64 /* at once: OpenBLAS has a fixed number of buffers and ends the process beyond */

/* CBLAS's enumerations and Fortran's characters. */
enum { ROW_MAJOR = 101, NOT_TRANSPOSED = 111, TRANSPOSED = 112, LOWER = 122, LEFT = 141 };

typedef void dgemm_function(int order, int a_is, int b_is, int m, int n, int k, double alpha,
                            const double *a, int a_stride, const double *b, int b_stride,
                            double beta, double *c, int c_stride);
typedef void dsymm_function(int order, int side, int triangle, int m, int n, double alpha,
                            const double *a, int a_stride, const double *b, int b_stride,
                            double beta, double *c, int c_stride);
/* Fortran: numbers by address, lengths of the characters at the end. */
typedef void dpstrf_function(const char *triangle, const int *n, double *a, const int *stride,
                             int *pivots, int *rank, const double *least, double *work, int *info,
                             size_t length);
typedef void dsyevr_function(const char *job, const char *range, const char *triangle, const int *n,
                             double *a, const int *stride, const double *low, const double *high,
                             const int *first, const int *last, const double *tolerance, int *found,
                             double *values, double *vectors, const int *vectors_stride,
                             int *support, double *work, const int *work_size, int *integers,
                             const int *integers_size, int *info, size_t length1, size_t length2,
                             size_t length3);

/* What a process loads once; read-only after that. */
static struct {
  pthread_once_t once;
  enum vqct_status status;
  struct vqct_error error;
  sem_t calls;
  dgemm_function *dgemm;
  dsymm_function *dsymm;
  dpstrf_function *dpstrf;
  dsyevr_function *dsyevr;
} blas = {.once = PTHREAD_ONCE_INIT};

/* ---- loading --------------------------------------------------------------------------------- */

static void *load_without_threads(void) {
  cpu_set_t before, one;
  bool known = sched_getaffinity(0, sizeof before, &before) == 0;
  CPU_ZERO(&one);
  for (size_t i = 0; known && i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
    if (CPU_ISSET(i, &before))
      CPU_SET(i, &one);
  bool narrowed = known && sched_setaffinity(0, sizeof one, &one) == 0;
  void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (narrowed)
    sched_setaffinity(0, sizeof before, &before);
  return library;
}

/* `function` is the address of a pointer to a function: POSIX lets both kinds of pointer be one. */
static bool find(void *library, const char *name, void *function) {
  void *address = dlsym(library, name);
  memcpy(function, &address, sizeof address);
  return address;
}

/* A^T B or, with a square A, A B from A's lower triangle, beside plain sums. */
static bool product_is_right(size_t rows, size_t columns, size_t depth, bool symmetric) {
  enum { MOST = 40 };
  double a[MOST * MOST], b[MOST * MOST], c[MOST * MOST];
  for (size_t i = 0; i < (size_t)MOST * MOST; i++) {
    a[i] = (double)(i * 7919 % 1009) / 504.5 - 1;
    b[i] = (double)(i * 6007 % 997) / 498.5 - 1;
  }
  struct blas_product product = {rows, columns, depth, a, b, c, MOST, MOST, MOST};
  if (symmetric)
    blas_multiply_symmetric(&product);
  else
    blas_multiply(&product);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) {
      double sum = 0;
      for (size_t k = 0; k < depth; k++) {
        bool below = symmetric && i > k;
        sum += a[below ? i * MOST + k : k * MOST + i] * b[k * MOST + j];
      }
      /* Two sums of `depth` terms of at most 1, each off by at most a rounding a term. */
      if (!(fabs(c[i * MOST + j] - sum) <= (double)(depth * depth) * DBL_EPSILON))
        return false;
    }
  return true;
}

static bool products_are_right(void) {
  static const size_t shapes[][3] = {
      {1, 1, 1}, {3, 5, 7}, {17, 33, 40}, {40, 24, 36}, {33, 40, 39}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    if (!product_is_right(shapes[i][0], shapes[i][1], shapes[i][2], false) ||
        !product_is_right(shapes[i][2], shapes[i][1], shapes[i][2], true))
      return false;
  return true;
}

static enum vqct_status load(struct vqct_error *error) {
  int (*parallel)(void) = NULL;
  char *(*core_name)(void) = NULL;
  void *library = load_without_threads();
  if (!library)
    return error_set(error, VQCT_UNAVAILABLE, "cannot load OpenBLAS: %s", dlerror());
  if (!find(library, "openblas_get_parallel", &parallel) ||
      !find(library, "openblas_get_corename", &core_name) ||
      !find(library, "cblas_dgemm", &blas.dgemm) || !find(library, "cblas_dsymm", &blas.dsymm) ||
      !find(library, "dpstrf_", &blas.dpstrf) || !find(library, "dsyevr_", &blas.dsyevr))
    return error_set(error, VQCT_UNAVAILABLE, "%s is an OpenBLAS without CBLAS or LAPACK", LIBRARY);
  if (!parallel())
    return error_set(error, VQCT_UNAVAILABLE,
                     "%s is OpenBLAS's serial build, which threads cannot share: install "
                     "libopenblas0-pthread",
                     LIBRARY);
  if (!products_are_right())
    return error_set(error, VQCT_UNAVAILABLE,
                     "OpenBLAS computes wrong products as %s: set OPENBLAS_CORETYPE to another of "
                     "its processors, such as Haswell, or install another version",
                     core_name());
  return VQCT_OK;
}

static void load_once(void) {
  if (sem_init(&blas.calls, 0, CALLS_MAX) != 0)
    blas.status = error_set(&blas.error, VQCT_INTERNAL, "no semaphore for OpenBLAS");
  else
    blas.status = load(&blas.error);
}

enum vqct_status blas_open(struct vqct_error *error) {
  pthread_once(&blas.once, load_once);
  return blas.status == VQCT_OK ? VQCT_OK : error_set(error, blas.status, "%s", blas.error.message);
}

/* ---- calling --------------------------------------------------------------------------------- */

static void enter(void) {
  while (sem_wait(&blas.calls) != 0 && errno == EINTR)
    ;
}

static void leave(void) {
  sem_post(&blas.calls);
}

void blas_multiply(const struct blas_product *p) {
  enter();
  blas.dgemm(ROW_MAJOR, TRANSPOSED, NOT_TRANSPOSED, (int)p->rows, (int)p->columns, (int)p->depth, 1,
             p->a, (int)p->a_stride, p->b, (int)p->b_stride, 0, p->c, (int)p->c_stride);
  leave();
}

void blas_multiply_symmetric(const struct blas_product *p) {
  enter();
  blas.dsymm(ROW_MAJOR, LEFT, LOWER, (int)p->depth, (int)p->columns, 1, p->a, (int)p->a_stride,
             p->b, (int)p->b_stride, 0, p->c, (int)p->c_stride);
  leave();
}

/* LAPACK stores by columns, so that its upper triangle is our lower one: it gives P^T A P = U^T U,
 * and row pivots[i] of L is column i of U. */
enum vqct_status blas_factor(double *a, size_t n, double least, double *factor, size_t *rank) {
  int size = (int)n, found = 0, info = 0;
  int *pivots = malloc((n + 1) * sizeof *pivots);
  double *work = malloc((2 * n + 1) * sizeof *work);
  enum vqct_status status = VQCT_MEMORY;
  if (!pivots || !work)
    goto done;
  enter();
  blas.dpstrf("U", &size, a, &size, pivots, &found, &least, work, &info, 1);
  leave();
  *rank = (size_t)found;
  memset(factor, 0, n * n * sizeof *factor);
  for (size_t i = 0; i < n && found > 0; i++) {
    size_t count = i < *rank ? i + 1 : *rank;
    memcpy(factor + (size_t)(pivots[i] - 1) * n, a + i * n, count * sizeof *factor);
  }
  status = VQCT_OK;
done:
  free(work);
  free(pivots);
  return status;
}

enum vqct_status blas_eigenvalues(double *a, size_t n, double *values) {
  if (!n)
    return VQCT_OK;
  int size = (int)n, found = 0, info = 0, none = 0, one = 1, integers = 10 * size;
  int work_size = 66 * size; /* room for the blocked tridiagonal form; 26 n is the least */
  double zero = 0;
  int *integer = malloc(12 * n * sizeof *integer);
  double *work = malloc((size_t)work_size * sizeof *work);
  enum vqct_status status = VQCT_MEMORY;
  if (!integer || !work)
    goto done;
  enter();
  blas.dsyevr("N", "A", "U", &size, a, &size, &zero, &zero, &none, &none, &zero, &found, values,
              &zero, &one, integer + integers, work, &work_size, integer, &integers, &info, 1, 1,
              1);
  leave();
  status = info == 0 && found == size ? VQCT_OK : VQCT_NOT_FINITE;
done:
  free(work);
  free(integer);
  return status;
}
