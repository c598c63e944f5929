/* The weights of an antialiased bicubic filter along one axis, and a picture's two of them. */
#ifndef IMAGE_RESAMPLE_AXIS_H
#define IMAGE_RESAMPLE_AXIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vqct/image.h"

#define RESAMPLE_WEIGHT_BITS 22 /* fractional; those of a result sum to 1, absolute ones to < 2 */

/** For each of `count` results along one axis, the weights of a run of source pixels. */
struct axis_weights {
  size_t count;
  size_t span;    /* weights a result: its run's and at least one 0 */
  size_t *first;  /* count: number of the run's first pixel */
  size_t *length; /* count: pixels of the run */
  int32_t *value; /* count, span */
  double *exact;  /* one run, before rounding */
};

/** Weights of results `from` to `from + count - 1` of an axis scaled from `source` to `full`. False
 * where memory is exhausted; what there is must be freed in either case. */
bool axis_weights_compute(struct axis_weights *weights, uint64_t source, uint64_t full,
                          uint64_t from, size_t count);

void axis_weights_free(struct axis_weights *weights);

/** A picture that is being scaled: along x, only the rows that are needed, then along y. */
struct resampling {
  const struct vqct_image *image; /* of 1 or 3 channels */
  struct axis_weights x, y;
  size_t top, rows;          /* source rows that are needed */
  struct vqct_image *result; /* has its size, and room for its pixels */
};

#endif
