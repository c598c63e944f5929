/* Tasks for libuv's threads, the most urgent first.
 *
 * libuv runs what it is given in order of arrival, so it is given no more than its threads can run
 * at once; what waits meanwhile is taken by class, and within a class in order of arrival. All
 * functions belong to the loop thread. */
#ifndef SCHED_TASKS_H
#define SCHED_TASKS_H

#include <uv.h>

#include "share.h"

struct task;
struct tasks;

/** Runs on one of libuv's threads. */
typedef void task_run(struct task *task);

/** Runs on the loop thread afterwards; may submit the task again, or free it. */
typedef void task_done(struct task *task);

/** A part of the record of whom it works for; all 0 before it is first submitted. */
struct task {
  uv_work_t work;
  struct task *next; /* of those that wait */
  struct tasks *tasks;
  task_run *run;
  task_done *done;
};

struct tasks {
  uv_loop_t *loop;
  size_t threads, running;
  struct {
    struct task *first, *last;
  } waiting[JOB_CLASSES];
};

/** No tasks, for so many of libuv's threads (at least 1). */
void tasks_init(struct tasks *tasks, uv_loop_t *loop, size_t threads);

/** Has a task run as soon as its turn comes; it must stay where it is until it is done. */
void tasks_submit(struct tasks *tasks, struct task *task, unsigned urgency, task_run *run,
                  task_done *done);

#endif
