/* The jobs that wait, and how workers take them.
 *
 * Jobs are of classes, and while one of a more urgent class waits none of another is taken: what is
 * not urgent delays what is by the batch that is computed when that comes, and no more. It may wait
 * for ever, which its deadline ends.
 *
 * Within a class there is one list an operation of each model, in order of arrival. A free worker
 * serves the model that has had the least of the workers' time (by cost, counted from when it last
 * had to wait), of that the operation that has had the least, starts from that operation's oldest
 * job, and adds the later ones of the same kind up to the limits of a batch: nothing waits for a
 * batch to fill unless a delay is configured, and as the oldest job is always taken nothing of a
 * class starves. The queue itself has no bound: admission.h bounds what gets here.
 *
 * A batch that is taken while no worker computes and fewer pictures of its class wait than there
 * are workers is to be computed together: by all threads, while the other workers rest until it is
 * done. So a lone picture is fast, and when many wait no worker waits for another.
 *
 * One lock guards everything here; it is held for list work only, never while anything computes.
 */
#ifndef SCHED_QUEUE_H
#define SCHED_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "job.h"

struct batch_limits {
  size_t images;   /* at most, at least 1 */
  uint64_t pixels; /* of all pictures of a batch of more than one */
  uint64_t delay;  /* nanoseconds that the oldest job may wait for others */
};

struct queue;

/** What a worker takes at once. */
struct batch {
  struct job **jobs; /* the caller's room for limits.images */
  size_t count;
  bool together;       /* all threads are meant for it */
  struct job *expired; /* linked by next: dropped, as their deadlines had passed */
};

/** An empty queue for so many workers, at least 1. Errors: MEMORY. */
enum vqct_status queue_new(const struct batch_limits *limits, unsigned workers,
                           struct queue **queue, struct vqct_error *error);

/** Frees an empty queue that no thread uses any more; NULL is allowed. */
void queue_free(struct queue *queue);

/** Puts a job at the end. */
void queue_push(struct queue *queue, struct job *job);

/** Takes a waiting job out; false if it is not waiting any more (a worker has it). */
bool queue_remove(struct queue *queue, struct job *job);

/** Waits for jobs and gives a batch of one class, engine, operation and shape; false after
 * queue_stop. Jobs whose deadline has passed are marked expired and put into batch->expired; count
 * may then be 0. */
bool queue_take(struct queue *queue, struct batch *batch);

/** Says that a batch whose count is not 0 is computed; its worker is free from now on. */
void queue_done(struct queue *queue, const struct batch *batch);

/** Lets every queue_take return false once nothing waits. */
void queue_stop(struct queue *queue);

struct queue_status {
  size_t images;
  uint64_t pixels;
  uint64_t oldest; /* when the oldest waiting job was queued; 0: none waits */
};

/** What waits now. */
void queue_read(struct queue *queue, struct queue_status *status);

#endif
