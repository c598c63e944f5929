/* Everything that a run needs to go on as if it had never stopped, in one safetensors file that
 * appears whole or not at all: weights, both optimizers, averages and counters. Random numbers come
 * from the seed and the step alone, and so does the place in the data.
 */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include <stdbool.h>

#include "trainer.h"

/** What a checkpoint holds beside the trainer. */
struct checkpoint_extra {
  char best_of[64];       /* what best measures; another stage may measure something else */
  double best;            /* the best validation so far; infinite before the first */
  bool due;               /* stopped before the validation of its step */
  bool new_discriminator; /* reading: the file has none, so the trainer keeps its first weights */
  bool new_average;       /* reading: the file has none, so it starts from the weights read */
};

/** Writes a checkpoint. Errors: WRITE, MEMORY. */
enum vqct_status checkpoint_save(const char *path, const struct trainer *trainer,
                                 const struct checkpoint_extra *extra, struct vqct_error *error);

/** Reads a checkpoint into a trainer of the same architecture and kind of codes, which has just
 * been made. Either may have a discriminator or a moving average of the weights that the other
 * lacks: one that the trainer lacks is dropped, one that the file lacks begins here. Errors: READ,
 * MODEL (another architecture, or damaged), NOT_FINITE, MEMORY; the trainer must then not be used.
 */
enum vqct_status checkpoint_load(const char *path, struct trainer *trainer,
                                 struct checkpoint_extra *extra, struct vqct_error *error);

#endif
