/* Threads take numbers in order and put what they make into a ring, each into the slot of its
 * number; the consumer takes slots out in order. `lock` guards the numbers, `stopping` and every
 * slot's `full`, and is never held while a result is made. `turn` is that of the thread which takes
 * a number: it waits on `room` while the slot is still taken, and assigns it, under `turn` and not
 * under `lock`, so that others may hand in what they made. `turn` comes before `lock`. The consumer
 * waits on `filled` while its slot is empty.
 */
#include "prefetch.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "error.h"

struct prefetch {
  struct prefetch_settings settings;
  pthread_mutex_t turn, lock;
  pthread_cond_t room, filled;
  uint64_t to_make, to_give; /* next numbers */
  bool stopping;
  bool *full;          /* of each slot */
  unsigned char *slot; /* ahead of them */
  double waited;
  unsigned threads; /* running */
  pthread_t thread[PREFETCH_THREADS_MAX];
};

static void *slot_of(const struct prefetch *prefetch, uint64_t number) {
  return prefetch->slot + number % prefetch->settings.ahead * prefetch->settings.slot_size;
}

/* The next number, once there is room for it; false at the end. */
static bool take_number(struct prefetch *prefetch, uint64_t *number) {
  const struct prefetch_settings *settings = &prefetch->settings;
  pthread_mutex_lock(&prefetch->lock);
  while (!prefetch->stopping && prefetch->to_make < settings->end &&
         prefetch->to_make - prefetch->to_give >= settings->ahead)
    pthread_cond_wait(&prefetch->room, &prefetch->lock);
  bool going = !prefetch->stopping && prefetch->to_make < settings->end;
  if (going)
    *number = prefetch->to_make++;
  pthread_mutex_unlock(&prefetch->lock);
  return going;
}

static bool take_turn(struct prefetch *prefetch, uint64_t *number) {
  const struct prefetch_settings *settings = &prefetch->settings;
  pthread_mutex_lock(&prefetch->turn);
  bool going = take_number(prefetch, number);
  if (going && settings->assign)
    settings->assign(settings->context, *number, slot_of(prefetch, *number));
  pthread_mutex_unlock(&prefetch->turn);
  return going;
}

static void *make_results(void *argument) {
  struct prefetch *prefetch = argument;
  const struct prefetch_settings *settings = &prefetch->settings;
  uint64_t number;
  while (take_turn(prefetch, &number)) {
    settings->make(settings->context, number, slot_of(prefetch, number));
    pthread_mutex_lock(&prefetch->lock);
    prefetch->full[number % settings->ahead] = true;
    pthread_cond_signal(&prefetch->filled);
    pthread_mutex_unlock(&prefetch->lock);
  }
  return NULL;
}

enum vqct_status prefetch_new(const struct prefetch_settings *settings, struct prefetch **result,
                              struct vqct_error *error) {
  *result = NULL;
  struct prefetch *prefetch = calloc(1, sizeof *prefetch);
  if (!prefetch)
    return error_set(error, VQCT_MEMORY, "no memory to load pictures");
  prefetch->settings = *settings;
  prefetch->to_make = prefetch->to_give = settings->first;
  pthread_mutex_init(&prefetch->turn, NULL);
  pthread_mutex_init(&prefetch->lock, NULL);
  pthread_cond_init(&prefetch->room, NULL);
  pthread_cond_init(&prefetch->filled, NULL);
  prefetch->full = calloc(settings->ahead, sizeof *prefetch->full);
  prefetch->slot = calloc(settings->ahead, settings->slot_size);
  while (prefetch->full && prefetch->slot && prefetch->threads < settings->threads &&
         !pthread_create(&prefetch->thread[prefetch->threads], NULL, make_results, prefetch))
    prefetch->threads++;
  if (prefetch->threads < settings->threads) {
    prefetch_free(prefetch);
    return error_set(error, VQCT_MEMORY, "cannot start %u threads to load pictures",
                     settings->threads);
  }
  *result = prefetch;
  return VQCT_OK;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void *prefetch_wait(struct prefetch *prefetch) {
  if (prefetch->to_give >= prefetch->settings.end) /* only the consumer changes it */
    return NULL;
  const bool *full = &prefetch->full[prefetch->to_give % prefetch->settings.ahead];
  pthread_mutex_lock(&prefetch->lock);
  if (!*full) {
    double start = seconds();
    while (!*full)
      pthread_cond_wait(&prefetch->filled, &prefetch->lock);
    prefetch->waited += seconds() - start;
  }
  pthread_mutex_unlock(&prefetch->lock);
  return slot_of(prefetch, prefetch->to_give);
}

void prefetch_give_back(struct prefetch *prefetch) {
  pthread_mutex_lock(&prefetch->lock);
  prefetch->full[prefetch->to_give % prefetch->settings.ahead] = false;
  prefetch->to_give++;
  pthread_cond_signal(&prefetch->room);
  pthread_mutex_unlock(&prefetch->lock);
}

double prefetch_waited(const struct prefetch *prefetch) {
  return prefetch->waited;
}

void prefetch_stop(struct prefetch *prefetch) {
  pthread_mutex_lock(&prefetch->lock);
  prefetch->stopping = true;
  pthread_cond_broadcast(&prefetch->room);
  pthread_mutex_unlock(&prefetch->lock);
  for (; prefetch->threads; prefetch->threads--)
    pthread_join(prefetch->thread[prefetch->threads - 1], NULL);
}

void *prefetch_left(struct prefetch *prefetch) {
  for (size_t i = 0; i < prefetch->settings.ahead; i++)
    if (prefetch->full[i]) {
      prefetch->full[i] = false;
      return prefetch->slot + i * prefetch->settings.slot_size;
    }
  return NULL;
}

void prefetch_free(struct prefetch *prefetch) {
  if (!prefetch)
    return;
  prefetch_stop(prefetch);
  pthread_cond_destroy(&prefetch->room);
  pthread_cond_destroy(&prefetch->filled);
  pthread_mutex_destroy(&prefetch->lock);
  pthread_mutex_destroy(&prefetch->turn);
  free(prefetch->full);
  free(prefetch->slot);
  free(prefetch);
}
