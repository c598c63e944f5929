/* One list a class, each first in, first out; a task carries its own link and libuv's request, so
 * that submitting allocates nothing. */
#include "tasks.h"

void tasks_init(struct tasks *tasks, uv_loop_t *loop, size_t threads) {
  *tasks = (struct tasks){.loop = loop, .threads = threads};
}

static void run(uv_work_t *work) {
  struct task *task = work->data;
  task->run(task);
}

static void finished(uv_work_t *work, int status);

static void start(struct tasks *tasks, struct task *task) {
  tasks->running++;
  task->work.data = task;
  uv_queue_work(tasks->loop, &task->work, run, finished);
}

static struct task *take(struct tasks *tasks) {
  for (size_t urgency = 0; urgency < JOB_CLASSES; urgency++) {
    struct task *task = tasks->waiting[urgency].first;
    if (!task)
      continue;
    tasks->waiting[urgency].first = task->next;
    if (!task->next)
      tasks->waiting[urgency].last = NULL;
    return task;
  }
  return NULL;
}

/* The next is started before the owner of this one sees it, so that no thread waits for that. */
static void finished(uv_work_t *work, int status) {
  struct task *task = work->data;
  struct tasks *tasks = task->tasks;
  (void)status;
  tasks->running--;
  struct task *next = take(tasks);
  if (next)
    start(tasks, next);
  task->done(task);
}

void tasks_submit(struct tasks *tasks, struct task *task, unsigned urgency, task_run *run_it,
                  task_done *done) {
  task->tasks = tasks;
  task->run = run_it;
  task->done = done;
  task->next = NULL;
  if (tasks->running < tasks->threads) {
    start(tasks, task);
    return;
  }
  struct task *last = tasks->waiting[urgency].last;
  *(last ? &last->next : &tasks->waiting[urgency].first) = task;
  tasks->waiting[urgency].last = task;
}
