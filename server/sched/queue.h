/* The jobs that wait, and how workers take them.
 *
 * One list an operation, in order of arrival. A free worker serves the operation that has had the
 * least of the workers' time (by cost, counted from when it last had to wait), starts from that
 * operation's oldest job, and adds the later ones of the same engine and shape up to the limits of
 * a batch: nothing waits for a batch to fill unless a delay is configured, and as the oldest job is
 * always taken nothing starves. The queue itself has no bound: admission.h bounds what gets here.
 *
 * One lock guards everything here; it is held for list work only, never while anything computes.
 */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include <stddef.h>

#include "job.h"

struct batch_limits {
  size_t images;   /* at most, at least 1 */
  uint64_t pixels; /* of all pictures of a batch of more than one */
  uint64_t delay;  /* nanoseconds that the oldest job may wait for others */
};

struct queue;

/** An empty queue. Errors: MEMORY. */
enum vqct_status queue_new(const struct batch_limits *limits, struct queue **queue,
                           struct vqct_error *error);

/** Frees an empty queue that no thread uses any more; NULL is allowed. */
void queue_free(struct queue *queue);

/** Puts a job at the end. */
void queue_push(struct queue *queue, struct job *job);

/** Takes a waiting job out; false if it is not waiting any more (a worker has it). */
bool queue_remove(struct queue *queue, struct job *job);

/** Waits for jobs and gives a batch of one engine, operation and shape in jobs[], which has room
 * for limits.images; returns how many, 0 after queue_stop. Jobs whose deadline has passed are
 * marked expired and put, linked by next, into *expired instead; the batch may then be empty while
 * *expired is not. */
size_t queue_take(struct queue *queue, struct job **jobs, struct job **expired);

/** Lets every queue_take return 0 once nothing waits. */
void queue_stop(struct queue *queue);

struct queue_status {
  size_t images;
  uint64_t pixels;
  uint64_t oldest; /* when the oldest waiting job was queued; 0: none waits */
};

/** What waits now. */
void queue_read(struct queue *queue, struct queue_status *status);

#endif
