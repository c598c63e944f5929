/* A model that serves: the opened file, one session for each worker, and one of all threads.
 *
 * While a new model is being loaded the old one goes on; jobs hold a reference to the engine that
 * they were made for, so the old one is closed after its last job. References are counted on the
 * loop thread only; sessions are used by the worker of the same number only,
 * and `together` by one worker at a time while the others rest. */
#ifndef SCHED_ENGINE_H
#define SCHED_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "readings.h"
#include "share.h"
#include "text.h"
#include "usage.h"
#include "vqct/codebook.h"
#include "vqct/model.h"

/** The two operations, so that tests can put others in their place. */
struct engine_calls {
  enum vqct_status (*encode)(struct vqct_session *session, const uint8_t *const *pixels,
                             size_t images, uint32_t height, uint32_t width,
                             uint32_t *const *tokens, float *const *encodings,
                             struct vqct_error *error);
  enum vqct_status (*decode)(struct vqct_session *session, const uint32_t *const *tokens,
                             size_t images, uint32_t grid_height, uint32_t grid_width,
                             uint8_t *const *pixels, struct vqct_error *error);
};

#define ENGINE_NAME_MAX 64 /* characters */

/** What is to be opened, and with what. */
struct engine_options {
  const char *name; /* that it is served under, sound by engine_name_sound; NULL: after the model */
  const char *path;
  unsigned workers, threads; /* a session a worker; they share at least as many threads */
  atomic_bool *stop; /* outlives the engine: once true, what its sessions compute is INTERRUPTED */
};

struct engine {
  char name[ENGINE_NAME_MAX + 1]; /* that requests, figures and logs know it by */
  bool named;                     /* by who serves it, not after the model */
  char *path;                     /* of its file */
  struct engine_calls calls;
  struct vqct_model *model;
  const struct vqct_model_info *info; /* of the model */
  struct vqct_session **sessions;     /* one a worker */
  struct vqct_session *together;      /* with all threads; NULL where there is one worker */
  unsigned workers;
  unsigned references;     /* loop thread */
  struct usage *usage;     /* loop thread: how often each code was picked */
  struct history *history; /* loop thread: what was asked of it lately */
  uint64_t *training;      /* how often training picked each code */
  struct text vectors;     /* loop thread: all codes as a file of npy, once somebody asked */
  time_t opened;
  struct share shares[JOB_CLASSES]; /* of the queue */
};

/** Whether this can be a model's name: a letter or digit, then letters, digits, '.', '_' or '-', at
 * most ENGINE_NAME_MAX in all. So it needs no escaping in addresses, labels and file names. */
bool engine_name_sound(const char *name);

/** Opens a model file. The caller holds the first reference. May run on any thread. */
enum vqct_status engine_open(const struct engine_options *options, struct engine **engine,
                             struct vqct_error *error);

/** One more reference to the engine. */
struct engine *engine_retain(struct engine *engine);

/** One reference less; the last one closes the model. NULL is allowed. */
void engine_release(struct engine *engine);

#endif
