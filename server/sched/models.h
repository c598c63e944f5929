/* The models that are served, as a list that never changes: who loads, adds or takes away a model
 * makes a new one.
 *
 * A request holds the list that was current when it came, so it can look a model up on any thread
 * (its body may be what names one) and has it until the end; a model is closed after the last list
 * that holds it. References are counted on the loop thread only. */
#ifndef SCHED_MODELS_H
#define SCHED_MODELS_H

#include <stddef.h>

#include "engine.h"

struct models {
  unsigned references; /* loop thread */
  size_t count;
  struct engine *engines[]; /* the first is the default */
};

/** A list of these engines, which takes over a reference to each; on failure it releases them.
 * Errors: INVALID (none, or two of one name), MEMORY. */
enum vqct_status models_new(struct engine *const *engines, size_t count, struct models **models,
                            struct vqct_error *error);

/** One more reference to the list, and one less: the last one releases its engines. NULL is
 * allowed. */
struct models *models_retain(struct models *models);
void models_release(struct models *models);

/** The engine of a name (NULL: the default), or of the model with a checksum; NULL where there is
 * none. Any thread that holds a reference. */
struct engine *models_find(const struct models *models, const char *name);
struct engine *models_of_checksum(const struct models *models, const char *checksum);

#endif
