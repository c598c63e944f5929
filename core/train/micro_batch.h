/* One micro-batch on its way through a step: what the files of a step share. */
#ifndef TRAIN_MICRO_BATCH_H
#define TRAIN_MICRO_BATCH_H

#include <math.h>

#include "blocks_backward.h"
#include "error.h"
#include "trainer.h"

/* Everything lives in the arena until the micro-batch's end. */
struct micro_batch {
  struct trainer *t;
  struct vqct_train_losses *losses;
  struct vqct_error *error;
  float scale;                     /* of its losses in the step: 1 / parts */
  uint64_t number;                 /* among all of the run, those of other processes too */
  struct activation x, z, read, y; /* read: what the decoder reads */
  float *zq;                       /* the chosen values, of the shape of z */
  struct block_tape *encoder, *decoder;
  uint32_t *tokens;
  size_t positions;
  float *dy; /* of the shape of y */
};

static inline size_t size_of(const struct activation *a) {
  return (size_t)a->images * activation_image_size(a);
}

static inline enum vqct_status no_memory(const struct micro_batch *b) {
  return error_set(b->error, VQCT_MEMORY, "no memory to train on %d pictures of %d x %d",
                   b->x.images, b->x.width, b->x.height);
}

static inline float *take(const struct micro_batch *b, size_t count) {
  return arena_alloc(b->t->exec.arena, count * sizeof(float));
}

static inline enum vqct_status check_finite(const struct micro_batch *b, double value,
                                            const char *what) {
  return isfinite(value) ? VQCT_OK
                         : error_set(b->error, VQCT_NOT_FINITE, "step %llu: %s is not finite",
                                     (unsigned long long)b->t->step, what);
}

/** The adversarial part of a micro-batch with its losses' gradient in dy: adds that of the
 * generator's adversarial loss, and to the discriminator's gradients its own. Errors: NOT_FINITE,
 * MEMORY. */
enum vqct_status adversary(struct micro_batch *b);

#endif
