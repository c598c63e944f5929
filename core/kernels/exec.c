#include "exec.h"

/* Tasks that are left undone once the work is to stop. */
struct stoppable {
  const struct exec *exec;
  pool_task *task;
  void *argument;
};

static void run_unless_stopped(void *argument, size_t number, unsigned worker) {
  const struct stoppable *work = argument;
  if (!exec_stopped(work->exec))
    work->task(work->argument, number, worker);
}

void exec_run(const struct exec *exec, size_t tasks, pool_task *task, void *argument) {
  struct stoppable work = {exec, task, argument};
  if (exec->stop)
    pool_run(exec->pool, tasks, run_unless_stopped, &work);
  else
    pool_run(exec->pool, tasks, task, argument);
}
