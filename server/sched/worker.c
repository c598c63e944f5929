/* Nothing is allocated while a worker runs: its arrays have room for the largest batch. Its lock is
 * held for counters and list work only, and never together with the queue's. */
#include "worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define AVERAGE_WEIGHT 0.2 /* of a new batch in the moving average of time a picture */

struct worker {
  pthread_t thread;
  struct workers *team;
  unsigned number;
  struct batch batch;
  void **inputs, **outputs, **encodings; /* room for one batch */
  uint64_t busy_since;                   /* guarded by the team's lock; 0: idle */
};

struct workers {
  struct queue *queue;
  job_done *done;
  void *context;
  uv_async_t wake;
  unsigned count;
  unsigned started;     /* threads of them; read by the thread that starts and stops them */
  pthread_mutex_t lock; /* guards the list, busy_since and the average; nothing is held with it */
  struct job *first, *last;
  uint64_t last_turn;
  double image_seconds;
  struct worker workers[];
};

static void hand_back(struct workers *team, struct job *job) {
  job->next = NULL;
  pthread_mutex_lock(&team->lock);
  bool was_empty = !team->first;
  *(was_empty ? &team->first : &team->last->next) = job;
  team->last = job;
  pthread_mutex_unlock(&team->lock);
  if (was_empty)
    uv_async_send(&team->wake);
}

static void take_completions(uv_async_t *handle) {
  struct workers *team = handle->data;
  pthread_mutex_lock(&team->lock);
  struct job *job = team->first;
  team->first = team->last = NULL;
  pthread_mutex_unlock(&team->lock);
  for (struct job *next; job; job = next) {
    next = job->next;
    team->done(team->context, job);
  }
}

/* Runs jobs first to first + count - 1 of the worker's batch in one call. */
static enum vqct_status compute(struct worker *worker, size_t first, size_t count,
                                struct vqct_error *error) {
  struct job *const *jobs = worker->batch.jobs + first;
  const struct engine *engine = jobs[0]->engine;
  struct vqct_session *session =
      worker->batch.together ? engine->together : engine->sessions[worker->number];
  bool encodes = jobs[0]->operation == JOB_ENCODE;
  for (size_t i = 0; i < count; i++) {
    worker->inputs[i] = encodes ? (void *)jobs[i]->pixels : jobs[i]->tokens;
    worker->outputs[i] = encodes ? (void *)jobs[i]->tokens : jobs[i]->pixels;
    worker->encodings[i] = jobs[i]->encodings;
  }
  if (encodes)
    return engine->calls.encode(session, (const uint8_t *const *)worker->inputs, count,
                                jobs[0]->height, jobs[0]->width, (uint32_t *const *)worker->outputs,
                                jobs[0]->encodings ? (float *const *)worker->encodings : NULL,
                                error);
  return engine->calls.decode(session, (const uint32_t *const *)worker->inputs, count,
                              jobs[0]->grid_height, jobs[0]->grid_width,
                              (uint8_t *const *)worker->outputs, error);
}

/* One bad picture must not fail those that share its batch: after a failure each runs alone. */
static void run_batch(struct worker *worker) {
  size_t count = worker->batch.count;
  struct vqct_error error = {VQCT_OK, ""};
  enum vqct_status status = compute(worker, 0, count, &error);
  for (size_t i = 0; i < count; i++) {
    struct job *job = worker->batch.jobs[i];
    job->batch = (uint32_t)count;
    job->error = (struct vqct_error){VQCT_OK, ""};
    if (status != VQCT_OK && count == 1)
      job->error = error;
    else if (status != VQCT_OK)
      compute(worker, i, 1, &job->error);
    job->finished = uv_hrtime();
  }
}

static void worker_begin(struct worker *worker) {
  pthread_mutex_lock(&worker->team->lock);
  worker->busy_since = worker->team->last_turn = uv_hrtime();
  pthread_mutex_unlock(&worker->team->lock);
}

static void worker_end(struct worker *worker) {
  struct workers *team = worker->team;
  pthread_mutex_lock(&team->lock);
  team->last_turn = uv_hrtime();
  double seconds =
      (double)(team->last_turn - worker->busy_since) * 1e-9 / (double)worker->batch.count;
  if (!worker->batch.together)
    seconds /= team->count;
  if (team->image_seconds > 0)
    team->image_seconds += AVERAGE_WEIGHT * (seconds - team->image_seconds);
  else
    team->image_seconds = seconds;
  worker->busy_since = 0;
  pthread_mutex_unlock(&team->lock);
}

static void *worker_main(void *argument) {
  struct worker *worker = argument;
  struct batch *batch = &worker->batch;
  while (queue_take(worker->team->queue, batch)) {
    for (struct job *job = batch->expired, *next; job; job = next) {
      next = job->next;
      hand_back(worker->team, job);
    }
    if (!batch->count)
      continue;
    worker_begin(worker);
    run_batch(worker);
    worker_end(worker);
    queue_done(worker->team->queue, batch);
    for (size_t i = 0; i < batch->count; i++)
      hand_back(worker->team, batch->jobs[i]);
  }
  return NULL;
}

static enum vqct_status worker_start(struct worker *worker, size_t batch,
                                     struct vqct_error *error) {
  worker->batch.jobs = calloc(batch, sizeof(struct job *));
  worker->inputs = calloc(batch, sizeof(void *));
  worker->outputs = calloc(batch, sizeof(void *));
  worker->encodings = calloc(batch, sizeof(void *));
  if (!worker->batch.jobs || !worker->inputs || !worker->outputs || !worker->encodings)
    return error_set(error, VQCT_MEMORY, "no memory for a worker");
  int fault = pthread_create(&worker->thread, NULL, worker_main, worker);
  if (fault)
    return error_set(error, VQCT_INTERNAL, "no worker thread: %s", strerror(fault));
  return VQCT_OK;
}

enum vqct_status workers_new(uv_loop_t *loop, struct queue *queue,
                             const struct batch_limits *limits, unsigned count, job_done *done,
                             void *context, struct workers **workers, struct vqct_error *error) {
  struct workers *team = *workers = calloc(1, sizeof *team + count * sizeof *team->workers);
  if (!team)
    return error_set(error, VQCT_MEMORY, "no memory for the workers");
  team->queue = queue;
  team->count = count;
  team->done = done;
  team->context = context;
  team->last_turn = uv_hrtime();
  team->wake.data = team;
  pthread_mutex_init(&team->lock, NULL);
  uv_async_init(loop, &team->wake, take_completions);
  for (unsigned i = 0; i < count; i++) {
    struct worker *worker = &team->workers[i];
    worker->team = team;
    worker->number = i;
    enum vqct_status status = worker_start(worker, limits->images, error);
    if (status != VQCT_OK) {
      queue_stop(queue);
      return status;
    }
    team->started++;
  }
  return VQCT_OK;
}

void workers_stop(struct workers *team) {
  queue_stop(team->queue);
  for (unsigned i = 0; i < team->started; i++)
    pthread_join(team->workers[i].thread, NULL);
  take_completions(&team->wake);
  uv_close((uv_handle_t *)&team->wake, NULL);
}

void workers_free(struct workers *team) {
  if (!team)
    return;
  for (unsigned i = 0; i < team->count; i++) {
    free(team->workers[i].batch.jobs);
    free(team->workers[i].inputs);
    free(team->workers[i].outputs);
    free(team->workers[i].encodings);
  }
  pthread_mutex_destroy(&team->lock);
  free(team);
}

void workers_read(struct workers *team, struct workers_status *status) {
  uint64_t now = uv_hrtime();
  *status = (struct workers_status){0};
  pthread_mutex_lock(&team->lock);
  for (unsigned i = 0; i < team->count; i++) {
    uint64_t since = team->workers[i].busy_since;
    if (!since)
      continue;
    status->busy++;
    if (now - since > status->longest)
      status->longest = now - since;
  }
  status->last_turn = team->last_turn;
  status->image_seconds = team->image_seconds;
  pthread_mutex_unlock(&team->lock);
}
