/* Worker threads: take a batch, compute it, hand the jobs back to the loop.
 *
 * Hand-back: a worker appends its jobs to one list under a lock and wakes the loop only when the
 * list was empty; the loop takes the whole list and goes through it unlocked. */
#ifndef SCHED_WORKER_H
#define SCHED_WORKER_H

#include <uv.h>

#include "queue.h"

struct workers;

/** Called on the loop thread for each job that a worker is done with. */
typedef void job_done(void *context, struct job *job);

/** Starts `count` threads (1 to 64) that serve the queue and report to the loop. Errors: MEMORY,
 * INTERNAL (no thread). */
enum vqct_status workers_new(uv_loop_t *loop, struct queue *queue,
                             const struct batch_limits *limits, unsigned count, job_done *done,
                             void *context, struct workers **workers, struct vqct_error *error);

/** Ends the threads when the queue was stopped, waits for them, and closes the handle with the
 * loop, which must run until no handle is left before workers_free. */
void workers_stop(struct workers *workers);

/** Frees the record; NULL is allowed. */
void workers_free(struct workers *workers);

struct workers_status {
  unsigned busy;        /* workers that compute now */
  uint64_t longest;     /* nanoseconds that the slowest of them has computed for */
  uint64_t last_turn;   /* when a worker last began or finished a batch */
  double image_seconds; /* time a picture when all workers are busy, as a moving average; 0 before
                           the first */
};

/** What the workers do now. */
void workers_read(struct workers *workers, struct workers_status *status);

#endif
