/* What waits for one model, and how much of the workers' time it has had: a share for each class of
 * jobs. Parts of each engine, so that to wait takes no memory; only the queue reads and writes
 * them, under its lock. All 0 waits for nothing. */
#ifndef SCHED_SHARE_H
#define SCHED_SHARE_H

#include <stddef.h>

#define JOB_CLASSES 8 /* 0 is the most urgent */

struct job;

enum job_operation { JOB_ENCODE, JOB_DECODE, JOB_OPERATIONS };

/** The jobs of one operation, in order of arrival. */
struct lane {
  struct job *first, *last;
  double served; /* cost of what workers took from this lane */
};

struct share {
  struct share *next, *previous; /* of those that have jobs waiting */
  struct lane lanes[JOB_OPERATIONS];
  size_t waiting; /* jobs in all lanes */
  double served;  /* cost of what workers took from all lanes */
  double level;   /* the most that a lane of it was served */
};

#endif
