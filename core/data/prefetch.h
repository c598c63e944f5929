/* Work done ahead by threads and taken out in its order.
 *
 *   struct prefetch *prefetch;
 *   struct item *item;
 *   if (prefetch_new(&settings, &prefetch, &error) == VQCT_OK)
 *     while ((item = prefetch_wait(prefetch))) {
 *       use(item);
 *       prefetch_give_back(prefetch);
 *     }
 *   prefetch_free(prefetch);
 */
#ifndef DATA_PREFETCH_H
#define DATA_PREFETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

#define PREFETCH_THREADS_MAX 1024

struct prefetch_settings {
  unsigned threads;    /* 1 to PREFETCH_THREADS_MAX */
  size_t ahead;        /* slots, at least 1: results that are held */
  size_t slot_size;    /* bytes; slots begin as zeros */
  uint64_t first, end; /* numbers of what is to be made: first to end - 1 */
  /* Settles what `make` needs for a number, in the order of numbers and one at a time; or NULL. It
   * may wait. */
  void (*assign)(void *context, uint64_t number, void *slot);
  /* Makes one result, on any thread, several at a time. */
  void (*make)(void *context, uint64_t number, void *slot);
  void *context;
};

struct prefetch;

/** Starts the threads. Errors: MEMORY; *prefetch is then NULL. */
enum vqct_status prefetch_new(const struct prefetch_settings *settings, struct prefetch **prefetch,
                              struct vqct_error *error);

/** The next result, waiting for it; NULL after the last. It stays in place until it is given back.
 * For one consumer. */
void *prefetch_wait(struct prefetch *prefetch);

/** Hands the slot of the last result back to the threads, for another one. */
void prefetch_give_back(struct prefetch *prefetch);

/** Seconds that prefetch_wait has waited since the start. */
double prefetch_waited(const struct prefetch *prefetch);

/** Ends the threads; may be called again. */
void prefetch_stop(struct prefetch *prefetch);

/** A result that was made and not given back, for the caller to release what it holds; NULL where
 * there is no more. After prefetch_stop. */
void *prefetch_left(struct prefetch *prefetch);

/** Ends the threads and frees the slots; NULL is allowed. */
void prefetch_free(struct prefetch *prefetch);

#endif
