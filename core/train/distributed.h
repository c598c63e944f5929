/* Training by several processes together. Built with `make MPI=1` they are the ranks of an MPI job
 * (mpi/distributed.c); otherwise a process is always alone (distributed.c).
 */
#ifndef TRAIN_DISTRIBUTED_H
#define TRAIN_DISTRIBUTED_H

#include "reduction.h"
#include "vqct/status.h"

/** Joins the job. *reduction is NULL for a process that is alone, and otherwise the caller's until
 * distributed_end. Call once, before threads are started. Errors: UNAVAILABLE. */
enum vqct_status distributed_start(const struct reduction **reduction, struct vqct_error *error);

/** Leaves the job. A process that failed ends all others, which wait for it, with its own exit
 * status; it does not return then. */
void distributed_end(const struct reduction *reduction, enum vqct_status status);

#endif
