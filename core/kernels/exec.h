/* What a kernel runs with: a team of threads, scratch memory, an instruction set, and whether to
 * stop. */
#ifndef KERNELS_EXEC_H
#define KERNELS_EXEC_H

#include <stdbool.h>

#include "arena.h"
#include "pool.h"

struct simd;

/** Who may ask for work to stop. `asked` is called by any of the team's threads, often; once it has
 * said yes it must go on saying so until the work has ended. */
struct exec_stop {
  bool (*asked)(void *context);
  void *context;
};

/** Belongs to one session or trainer and serves one call at a time. Kernels take scratch from the
 * arena and give it back before they return. */
struct exec {
  struct pool *pool;            /* NULL: everything runs in the caller */
  struct arena *arena;          /* never NULL */
  const struct simd *simd;      /* the instruction set; NULL: the best that this machine runs */
  const struct exec_stop *stop; /* NULL: nobody stops it */
};

/** Whether the work is to stop. Results are then unspecified, and chains and quantizers say
 * INTERRUPTED. */
static inline bool exec_stopped(const struct exec *exec) {
  return exec->stop && exec->stop->asked(exec->stop->context);
}

/** pool_run for kernels whose tasks may take long: what is left is passed over once the work is to
 * stop. */
void exec_run(const struct exec *exec, size_t tasks, pool_task *task, void *argument);

#endif
