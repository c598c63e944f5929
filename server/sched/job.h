/* One picture's way through a worker. */
#ifndef SCHED_JOB_H
#define SCHED_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"

/** Made and read by the loop thread; between queue_push and the completion it belongs to the queue
 * and then to one worker. All moments are uv_hrtime() nanoseconds. */
struct job {
  struct job *next, *previous; /* in the queue or the completion list */
  enum job_operation operation;
  unsigned urgency; /* its class, less than JOB_CLASSES */
  struct engine *engine;
  uint32_t height, width;           /* pixels */
  uint32_t grid_height, grid_width; /* tokens */
  uint8_t *pixels;                  /* height, width, channels: read by encode, written by decode */
  uint32_t *tokens;                 /* planes, grid: written by encode, read by decode */
  float *encodings;                 /* grid, Z: written by encode, or NULL */
  double cost;       /* of the operation, in any one unit: what a fair share counts */
  uint64_t deadline; /* not started after this moment */
  uint64_t queued, ready, taken, finished; /* ready: when a worker was free to take it */
  uint32_t batch;                          /* pictures that shared its batch */
  bool expired;            /* dropped by the worker because the deadline had passed */
  struct vqct_error error; /* how it ended */
  void *owner;             /* whose job it is */
};

/** Pixels of the picture. */
static inline uint64_t job_pixels(const struct job *job) {
  return (uint64_t)job->height * job->width;
}

#endif
