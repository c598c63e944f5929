/* The stream of training crops, decoded ahead by threads.
 *
 * Sample number n of a run is settled by the seed, n and the list of pictures alone: which picture
 * (every epoch is a shuffle of all of them), which square of it, flipped or not, and at which size.
 * So any thread may make any sample, and a run goes on from any n. A picture that cannot be decoded
 * is replaced by another that the same number picks; it is counted, and reported once by name.
 *
 * Samples are made ahead by threads (prefetch.h); one consumer takes them out.
 */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "pictures.h"
#include "vqct/status.h"

struct loader_settings {
  const struct pictures *pictures; /* must outlive the loader */
  size_t held_out; /* pictures kept apart for validation: the first of a fixed shuffle */
  uint64_t seed;
  /* Smallest and largest side of a square as parts of the short side; up to 1. */
  double crop_min, crop_max;
  bool flip;        /* half of the crops are mirrored */
  int channels;     /* 1 grey or 3 */
  unsigned threads; /* 1 to 64 */
  unsigned ahead;   /* samples decoded ahead */
  /* The side in pixels of sample n's crop. Called by any thread. */
  int (*side)(const void *context, uint64_t sample);
  /* Told of a picture that cannot be used, in the consumer's thread, once for each. */
  void (*report)(void *context, const char *message);
  void *context; /* of both */
  /* This process takes samples n with n / share % ranks == rank; 1 and 0 for one process alone. */
  uint64_t share;
  unsigned ranks, rank;
};

struct loader;

/** Starts the threads at sample number `first` of this process's stream. Errors: INVALID, DATA (no
 * picture is left to train on), MEMORY; *loader is then NULL. */
enum vqct_status loader_new(const struct loader_settings *settings, uint64_t first,
                            struct loader **loader, struct vqct_error *error);

/** Ends the threads; NULL is allowed. */
void loader_free(struct loader *loader);

/** The next sample: side,side,channels floats in [-1,1], where side is what settings->side says.
 * Waits for it. Errors: DATA (several pictures in a row cannot be decoded), MEMORY. */
enum vqct_status loader_next(struct loader *loader, float *picture, struct vqct_error *error);

/** Pictures that could not be decoded so far, each counted once. */
size_t loader_bad(const struct loader *loader);

/** Seconds that loader_next has waited for a sample since the start. */
double loader_waited(const struct loader *loader);

/** The picture number of validation picture `index`, 0 to held_out - 1. */
size_t loader_held_out(const struct loader *loader, size_t index);

/** How many pictures are trained on, and the picture number of one of them, 0 to that count - 1, in
 * an order that only the seed settles. */
size_t loader_training_count(const struct loader *loader);
size_t loader_training(const struct loader *loader, size_t index);

#endif
