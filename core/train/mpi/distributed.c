/* Sums are made in rank 0 and sent to all, so that every rank has the same bits: MPI only advises
 * that MPI_Allreduce give that. */
#include "distributed.h"

#include <mpi.h>
#include <stdlib.h>

#include "error.h"

#define PIECE ((size_t)1 << 28) /* numbers of one call, whose count is an int */

static void sum_values(void *values, size_t count, size_t size, MPI_Datatype type, int rank) {
  for (size_t begin = 0; begin < count; begin += PIECE) {
    int length = (int)(count - begin < PIECE ? count - begin : PIECE);
    void *at = (char *)values + begin * size;
    if (rank == 0)
      MPI_Reduce(MPI_IN_PLACE, at, length, type, MPI_SUM, 0, MPI_COMM_WORLD);
    else
      MPI_Reduce(at, NULL, length, type, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Bcast(at, length, type, 0, MPI_COMM_WORLD);
  }
}

static void sum_doubles(void *context, double *values, size_t count) {
  const struct reduction *reduction = context;
  sum_values(values, count, sizeof *values, MPI_DOUBLE, reduction->rank);
}

static void sum_floats(void *context, float *values, size_t count) {
  const struct reduction *reduction = context;
  sum_values(values, count, sizeof *values, MPI_FLOAT, reduction->rank);
}

enum vqct_status distributed_start(const struct reduction **result, struct vqct_error *error) {
  int level, ranks = 1, rank = 0;
  *result = NULL;
  if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS ||
      level < MPI_THREAD_FUNNELED)
    return error_set(error, VQCT_UNAVAILABLE, "MPI cannot be started with threads");
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (ranks == 1)
    return VQCT_OK;
  struct reduction *reduction = malloc(sizeof *reduction);
  if (!reduction)
    return error_set(error, VQCT_MEMORY, "no memory to join an MPI job");
  *reduction = (struct reduction){ranks, rank, sum_doubles, sum_floats, reduction};
  *result = reduction;
  return VQCT_OK;
}

void distributed_end(const struct reduction *reduction, enum vqct_status status) {
  if (reduction && status != VQCT_OK && status != VQCT_INTERRUPTED)
    MPI_Abort(MPI_COMM_WORLD, vqct_status_exit(status));
  free((struct reduction *)reduction);
  MPI_Finalize();
}
