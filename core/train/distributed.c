/* The half of the program that knows no MPI: the Makefile links mpi/distributed.c in its place for
 * MPI=1, so that nothing else asks which one it is. */
#include "distributed.h"

#include <stddef.h>

enum vqct_status distributed_start(const struct reduction **reduction, struct vqct_error *error) {
  (void)error;
  *reduction = NULL;
  return VQCT_OK;
}

void distributed_end(const struct reduction *reduction, enum vqct_status status) {
  (void)reduction;
  (void)status;
}
