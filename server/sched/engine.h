/* A model that serves: the opened file, one session for each worker, and one of all threads.
 *
 * While a new model is being loaded the old one goes on; jobs hold a reference to the engine that
 * they were made for, so the old one is closed after its last job. References are counted on the
 * loop thread only; sessions are used by the worker of the same number only,
 * and `together` by one worker at a time while the others rest. */
#ifndef SCHED_ENGINE_H
#define SCHED_ENGINE_H

#include <stdatomic.h>
#include <time.h>

#include "share.h"
#include "usage.h"
#include "vqct/codebook.h"
#include "vqct/model.h"

/** The two operations, so that tests can put others in their place. */
struct engine_calls {
  enum vqct_status (*encode)(struct vqct_session *session, const uint8_t *const *pixels,
                             size_t images, uint32_t height, uint32_t width,
                             uint32_t *const *tokens, struct vqct_error *error);
  enum vqct_status (*decode)(struct vqct_session *session, const uint32_t *const *tokens,
                             size_t images, uint32_t grid_height, uint32_t grid_width,
                             uint8_t *const *pixels, struct vqct_error *error);
};

struct engine {
  struct engine_calls calls;
  struct vqct_model *model;
  const struct vqct_model_info *info; /* of the model */
  struct vqct_session **sessions;     /* one a worker */
  struct vqct_session *together;      /* with all threads; NULL where there is one worker */
  unsigned workers;
  unsigned references; /* loop thread */
  struct usage *usage; /* loop thread: how often each code was picked */
  uint64_t *training;  /* how often training picked each code */
  time_t opened;
  struct share share; /* of the queue */
};

/** Opens a model file with `workers` sessions that share `threads` threads (at least as many). The
 * caller holds the first reference. Once *stop is true, which must outlive the engine, what its
 * sessions compute ends with INTERRUPTED. May run on any thread. */
enum vqct_status engine_open(const char *path, unsigned workers, unsigned threads,
                             atomic_bool *stop, struct engine **engine, struct vqct_error *error);

/** One more reference to the engine. */
struct engine *engine_retain(struct engine *engine);

/** One reference less; the last one closes the model. NULL is allowed. */
void engine_release(struct engine *engine);

#endif
