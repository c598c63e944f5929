/* A fixed team of threads that runs the tasks of one job and waits for all of them.
 *
 * Each worker, the caller too, has a share of neighbouring tasks, which it takes one by one and in
 * order, and then helps others with theirs. So a task must not depend on which worker runs it, nor
 * on an earlier task: results are the same for every team size as long as each task writes its own
 * memory and sums in its own order.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

#include "vqct/status.h"

struct pool;

/** One task: its number, 0 to tasks - 1, and the worker, 0 to pool_workers() - 1, that runs it. */
typedef void pool_task(void *argument, size_t task, unsigned worker);

/** A team of `workers` (1 to 1024), of which the caller of pool_run is number 0. */
enum vqct_status pool_new(unsigned workers, struct pool **pool, struct vqct_error *error);

/** Ends the threads; pool may be NULL. No job may be running. */
void pool_free(struct pool *pool);

/** How many workers there are; 1 for NULL. */
unsigned pool_workers(const struct pool *pool);

/** Runs tasks 0 to tasks - 1 and returns when all are done. Only one thread at a time may call it,
 * and no task may call it with the same pool. A pool of NULL runs them in the caller. */
void pool_run(struct pool *pool, size_t tasks, pool_task *task, void *argument);

#endif
