/* What a kernel runs with: a team of threads, scratch memory and an instruction set. */
#ifndef KERNELS_EXEC_H
#define KERNELS_EXEC_H

#include "arena.h"
#include "pool.h"

struct simd;

/** Belongs to one session or trainer and serves one call at a time. Kernels take scratch from the
 * arena and give it back before they return. */
struct exec {
  struct pool *pool;       /* NULL: everything runs in the caller */
  struct arena *arena;     /* never NULL */
  const struct simd *simd; /* the instruction set; NULL: the best that this machine runs */
};

#endif
