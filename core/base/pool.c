/* How a job travels: pool_run writes the job and raises `generation` under the lock, and wakes the
 * team. Each worker takes task numbers from the atomic `next` of its own share until none is left,
 * then from the others' shares, and reports itself idle; the last one to do so wakes the caller. A
 * job lives until every worker has left it, so its fields are never rewritten under a worker's
 * eyes. Workers spin for some microseconds before they sleep, since the layers of a network follow
 * each other at that distance. They also follow each other in place: what a worker's share wrote is
 * most of what its next share reads, and may still be in a cache that others do not reach.
 */
#include "pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define SPINS 4000 /* some tens of microseconds */

#define CACHE_LINE 64 /* bytes */

struct team_worker {
  _Alignas(CACHE_LINE) atomic_size_t next; /* of its share of the current job's tasks */
  size_t end;                              /* of the share */
  struct pool *pool;
  pthread_t thread;
  unsigned number;
};

struct pool {
  unsigned workers;
  /* `lock` guards the sleep on `work` and `done`; the atomics may be read without it. */
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  atomic_uint generation; /* number of the current job; the job's fields are written before it */
  atomic_uint busy;       /* workers, without the caller, that have not left the current job */
  atomic_bool stopping;
  pool_task *task;
  void *argument;
  struct team_worker team[];
};

static void spin_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Cuts the tasks into a share of neighbours for each worker. */
static void share_tasks(struct pool *pool, size_t tasks) {
  size_t each = tasks / pool->workers, longer = tasks % pool->workers, first = 0;
  for (unsigned i = 0; i < pool->workers; i++) {
    atomic_store_explicit(&pool->team[i].next, first, memory_order_relaxed);
    first += each + (i < longer ? 1 : 0);
    pool->team[i].end = first;
  }
}

static void take_tasks(struct pool *pool, unsigned number) {
  size_t task;
  for (unsigned i = 0; i < pool->workers; i++) {
    struct team_worker *of = &pool->team[(number + i) % pool->workers];
    while ((task = atomic_fetch_add(&of->next, 1)) < of->end)
      pool->task(pool->argument, task, number);
  }
}

/* Waits for a job other than `seen`; false when the pool ends. */
static bool await_job(struct pool *pool, unsigned seen) {
  for (int i = 0; i < SPINS; i++) {
    if (atomic_load(&pool->stopping) || atomic_load(&pool->generation) != seen)
      break;
    spin_pause();
  }
  if (atomic_load(&pool->generation) == seen && !atomic_load(&pool->stopping)) {
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->generation) == seen && !atomic_load(&pool->stopping))
      pthread_cond_wait(&pool->work, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
  }
  return !atomic_load(&pool->stopping);
}

static void *worker_main(void *argument) {
  struct team_worker *worker = argument;
  struct pool *pool = worker->pool;
  for (unsigned seen = 0; await_job(pool, seen);) {
    seen = atomic_load(&pool->generation);
    take_tasks(pool, worker->number);
    if (atomic_fetch_sub(&pool->busy, 1) == 1) {
      pthread_mutex_lock(&pool->lock);
      pthread_cond_signal(&pool->done);
      pthread_mutex_unlock(&pool->lock);
    }
  }
  return NULL;
}

enum vqct_status pool_new(unsigned workers, struct pool **result, struct vqct_error *error) {
  *result = NULL;
  if (workers < 1 || workers > 1024)
    return error_set(error, VQCT_INVALID, "%u threads: from 1 to 1024 are possible", workers);
  size_t bytes = sizeof(struct pool) + workers * sizeof(struct team_worker);
  struct pool *pool = aligned_alloc(CACHE_LINE, bytes);
  if (!pool)
    return error_set(error, VQCT_MEMORY, "no memory for %u threads", workers);
  memset(pool, 0, bytes);
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->done, NULL);
  pool->workers = 1;
  for (unsigned i = 1; i < workers; i++, pool->workers++) {
    pool->team[i].pool = pool;
    pool->team[i].number = i;
    if (pthread_create(&pool->team[i].thread, NULL, worker_main, &pool->team[i])) {
      pool_free(pool);
      return error_set(error, VQCT_MEMORY, "cannot start thread %u of %u", i + 1, workers);
    }
  }
  *result = pool;
  return VQCT_OK;
}

void pool_free(struct pool *pool) {
  if (!pool)
    return;
  pthread_mutex_lock(&pool->lock);
  atomic_store(&pool->stopping, true);
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  for (unsigned i = 1; i < pool->workers; i++)
    pthread_join(pool->team[i].thread, NULL);
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}

unsigned pool_workers(const struct pool *pool) {
  return pool ? pool->workers : 1;
}

static void await_team(struct pool *pool) {
  for (int i = 0; i < SPINS && atomic_load(&pool->busy); i++)
    spin_pause();
  if (!atomic_load(&pool->busy))
    return;
  pthread_mutex_lock(&pool->lock);
  while (atomic_load(&pool->busy))
    pthread_cond_wait(&pool->done, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
}

void pool_run(struct pool *pool, size_t tasks, pool_task *task, void *argument) {
  if (!pool || pool->workers == 1 || tasks < 2) {
    for (size_t i = 0; i < tasks; i++)
      task(argument, i, 0);
    return;
  }
  await_team(pool);
  pool->task = task;
  pool->argument = argument;
  share_tasks(pool, tasks);
  atomic_store(&pool->busy, pool->workers - 1);
  pthread_mutex_lock(&pool->lock);
  atomic_fetch_add(&pool->generation, 1);
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  take_tasks(pool, 0);
  await_team(pool);
}
