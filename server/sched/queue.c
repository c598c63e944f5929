/* Fair shares without timers: within a class each model, and each operation of it, counts the cost
 * of what workers took, and the one that has had least is served. One that wakes starts level with
 * those that wait, so that a rest saves nothing up. A batch is the oldest job and whatever fits it,
 * further back too.
 */
#include "queue.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <uv.h>

#include "error.h"

/* The jobs of one class. */
struct band {
  struct share *first, *last; /* of the models that have jobs of it waiting */
  double level;               /* the most that a share of it was served */
  size_t images;
};

struct queue {
  struct batch_limits limits;
  unsigned workers;
  pthread_mutex_t lock; /* guards all below */
  pthread_cond_t arrival;
  struct band bands[JOB_CLASSES];
  size_t images;
  uint64_t pixels;
  unsigned busy; /* workers that compute */
  bool together; /* one of them with all threads */
  bool stopping;
};

enum vqct_status queue_new(const struct batch_limits *limits, unsigned workers,
                           struct queue **queue, struct vqct_error *error) {
  *queue = calloc(1, sizeof **queue);
  if (!*queue)
    return error_set(error, VQCT_MEMORY, "no memory for the queue");
  (*queue)->limits = *limits;
  (*queue)->workers = workers;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&(*queue)->arrival, &attributes);
  pthread_condattr_destroy(&attributes);
  pthread_mutex_init(&(*queue)->lock, NULL);
  return VQCT_OK;
}

void queue_free(struct queue *queue) {
  if (!queue)
    return;
  pthread_cond_destroy(&queue->arrival);
  pthread_mutex_destroy(&queue->lock);
  free(queue);
}

/* ---- whose turn it is ------------------------------------------------------------------------ */

/* What was idle must not use up the time that it did not need: it starts level with the one that
 * has had least among those that wait (least, INFINITY where none does), or where none does with
 * the one that has had most. */
static double served_on_waking(double served, double least, double most) {
  double level = isinf(least) ? most : least;
  return served < level ? level : served;
}

static void lane_wake(struct share *share, struct lane *lane) {
  double least = INFINITY;
  for (size_t i = 0; i < JOB_OPERATIONS; i++)
    if (share->lanes[i].first && share->lanes[i].served < least)
      least = share->lanes[i].served;
  lane->served = served_on_waking(lane->served, least, share->level);
}

static void share_wake(struct band *band, struct share *share) {
  double least = INFINITY;
  for (const struct share *other = band->first; other; other = other->next)
    if (other->served < least)
      least = other->served;
  share->served = served_on_waking(share->served, least, band->level);
  share->next = NULL;
  share->previous = band->last;
  *(band->last ? &band->last->next : &band->first) = share;
  band->last = share;
}

static void share_rest(struct band *band, struct share *share) {
  *(share->previous ? &share->previous->next : &band->first) = share->next;
  *(share->next ? &share->next->previous : &band->last) = share->previous;
  share->next = share->previous = NULL;
}

/* The most urgent class that waits, of it the model that has had least, and of its operations the
 * one that has. */
static struct lane *lane_choose(const struct queue *queue) {
  const struct band *band = queue->bands, *end = band + JOB_CLASSES;
  while (band < end && !band->first)
    band++;
  struct share *share = band < end ? band->first : NULL;
  struct lane *chosen = NULL;
  for (struct share *other = share; other; other = other->next)
    if (other->served < share->served)
      share = other;
  for (size_t i = 0; share && i < JOB_OPERATIONS; i++) {
    struct lane *lane = &share->lanes[i];
    if (lane->first && (!chosen || lane->served < chosen->served))
      chosen = lane;
  }
  return chosen;
}

static struct share *share_of(const struct job *job) {
  return &job->engine->shares[job->urgency];
}

static void count_served(struct queue *queue, const struct job *job) {
  struct band *band = &queue->bands[job->urgency];
  struct share *share = share_of(job);
  struct lane *lane = &share->lanes[job->operation];
  lane->served += job->cost;
  share->served += job->cost;
  if (lane->served > share->level)
    share->level = lane->served;
  if (share->served > band->level)
    band->level = share->served;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void lane_unlink(struct queue *queue, struct job *job) {
  struct band *band = &queue->bands[job->urgency];
  struct share *share = share_of(job);
  struct lane *lane = &share->lanes[job->operation];
  *(job->previous ? &job->previous->next : &lane->first) = job->next;
  *(job->next ? &job->next->previous : &lane->last) = job->previous;
  job->next = job->previous = NULL;
  if (!--share->waiting)
    share_rest(band, share);
  band->images--;
  queue->images--;
  queue->pixels -= job_pixels(job);
}

void queue_push(struct queue *queue, struct job *job) {
  pthread_mutex_lock(&queue->lock);
  struct band *band = &queue->bands[job->urgency];
  struct share *share = share_of(job);
  struct lane *lane = &share->lanes[job->operation];
  if (!share->waiting++)
    share_wake(band, share);
  if (!lane->first)
    lane_wake(share, lane);
  job->next = NULL;
  job->previous = lane->last;
  *(lane->last ? &lane->last->next : &lane->first) = job;
  lane->last = job;
  job->queued = uv_hrtime();
  job->ready = job->taken = job->finished = 0; /* of the operation before */
  band->images++;
  queue->images++;
  queue->pixels += job_pixels(job);
  pthread_cond_signal(&queue->arrival);
  pthread_mutex_unlock(&queue->lock);
}

bool queue_remove(struct queue *queue, struct job *job) {
  pthread_mutex_lock(&queue->lock);
  bool waits = !job->taken;
  if (waits) {
    lane_unlink(queue, job);
    job->taken = uv_hrtime();
  }
  pthread_mutex_unlock(&queue->lock);
  return waits;
}

static void drop_expired_of(struct queue *queue, const struct lane *lane, uint64_t now,
                            struct job **expired) {
  for (struct job *job = lane->first, *next; job; job = next) {
    next = job->next;
    if (job->deadline > now)
      continue;
    lane_unlink(queue, job);
    job->taken = now;
    job->expired = true;
    job->next = *expired;
    *expired = job;
  }
}

static void drop_expired(struct queue *queue, uint64_t now, struct job **expired) {
  for (size_t urgency = 0; urgency < JOB_CLASSES; urgency++)
    for (struct share *share = queue->bands[urgency].first, *next; share; share = next) {
      next = share->next;
      for (size_t i = 0; i < JOB_OPERATIONS; i++)
        drop_expired_of(queue, &share->lanes[i], now, expired);
    }
}

static bool fits(const struct job *job, const struct job *oldest) {
  return job->height == oldest->height && job->width == oldest->width &&
         !job->encodings == !oldest->encodings;
}

/* Pictures of the oldest job's kind that one batch may hold. */
static size_t batch_room(const struct queue *queue, const struct job *oldest) {
  uint64_t by_pixels = queue->limits.pixels / job_pixels(oldest);
  size_t most = queue->limits.images < by_pixels ? queue->limits.images : (size_t)by_pixels;
  return most ? most : 1;
}

static size_t count_fitting(const struct job *oldest, size_t room) {
  size_t count = 0;
  for (const struct job *job = oldest; job && count < room; job = job->next)
    count += fits(job, oldest);
  return count;
}

static void lane_take(struct queue *queue, struct lane *lane, size_t room, uint64_t ready,
                      struct batch *batch) {
  const struct job *oldest = lane->first;
  uint64_t now = uv_hrtime();
  for (struct job *job = lane->first, *next; job && batch->count < room; job = next) {
    next = job->next;
    if (job != oldest && !fits(job, oldest))
      continue;
    lane_unlink(queue, job);
    job->taken = now;
    job->ready = ready > job->queued ? ready : job->queued;
    count_served(queue, job);
    batch->jobs[batch->count++] = job;
  }
  queue->busy++;
  queue->together = batch->together;
}

static void wait_until(struct queue *queue, uint64_t moment) {
  struct timespec until = {(time_t)(moment / 1000000000u), (long)(moment % 1000000000u)};
  pthread_cond_timedwait(&queue->arrival, &queue->lock, &until);
}

/* Fills the batch if there is one to be had now; otherwise *patience is when the oldest job need
 * not wait for others any more. */
static bool try_take(struct queue *queue, struct lane *lane, uint64_t ready, uint64_t *patience,
                     struct batch *batch) {
  size_t room = batch_room(queue, lane->first);
  *patience = lane->first->queued + queue->limits.delay;
  if (!queue->stopping && uv_hrtime() < *patience && count_fitting(lane->first, room) < room)
    return false;
  size_t waiting = queue->bands[lane->first->urgency].images;
  batch->together = queue->busy == 0 && waiting < queue->workers;
  lane_take(queue, lane, room, ready, batch);
  return true;
}

bool queue_take(struct queue *queue, struct batch *batch) {
  uint64_t ready = uv_hrtime(), patience;
  *batch = (struct batch){.jobs = batch->jobs};
  pthread_mutex_lock(&queue->lock);
  for (;;) {
    drop_expired(queue, uv_hrtime(), &batch->expired);
    struct lane *lane = lane_choose(queue);
    if (batch->expired || (!lane && queue->stopping))
      break;
    if (!lane || queue->together) {
      pthread_cond_wait(&queue->arrival, &queue->lock);
      ready = uv_hrtime();
    } else if (try_take(queue, lane, ready, &patience, batch)) {
      break;
    } else {
      wait_until(queue, patience);
    }
  }
  /* Another worker may go on with what is left, or end. */
  if (queue->images || queue->stopping)
    pthread_cond_signal(&queue->arrival);
  pthread_mutex_unlock(&queue->lock);
  return batch->count || batch->expired;
}

void queue_done(struct queue *queue, const struct batch *batch) {
  pthread_mutex_lock(&queue->lock);
  queue->busy--;
  if (batch->together) {
    queue->together = false;
    pthread_cond_signal(&queue->arrival);
  }
  pthread_mutex_unlock(&queue->lock);
}

void queue_stop(struct queue *queue) {
  pthread_mutex_lock(&queue->lock);
  queue->stopping = true;
  pthread_cond_broadcast(&queue->arrival);
  pthread_mutex_unlock(&queue->lock);
}

static void note_oldest(const struct share *share, uint64_t *oldest) {
  for (size_t i = 0; i < JOB_OPERATIONS; i++) {
    const struct job *first = share->lanes[i].first;
    if (first && (!*oldest || first->queued < *oldest))
      *oldest = first->queued;
  }
}

void queue_read(struct queue *queue, struct queue_status *status) {
  pthread_mutex_lock(&queue->lock);
  status->images = queue->images;
  status->pixels = queue->pixels;
  status->oldest = 0;
  for (size_t urgency = 0; urgency < JOB_CLASSES; urgency++)
    for (const struct share *share = queue->bands[urgency].first; share; share = share->next)
      note_oldest(share, &status->oldest);
  pthread_mutex_unlock(&queue->lock);
}
