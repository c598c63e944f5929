/* The metrics of a run: one JSON object a line, and the curves drawn from them.
 *
 * A line of training has "step", "seconds", "images_per_second", "bad_pictures", losses and, for
 * each codebook, NAME_usage and NAME_perplexity over the "window" positions since the line before.
 * A line of validation has "step" and an object "validation".
 */
#ifndef TRAIN_HISTORY_H
#define TRAIN_HISTORY_H

#include <stdint.h>

#include "vqct/train.h"

struct history;

/** Opens a file to append to. Lines of steps after `step` are dropped first: a run that goes on
 * from a checkpoint makes them again. Errors: READ, WRITE, MEMORY; *history is then NULL. */
enum vqct_status history_open(const char *path, uint64_t step, struct history **history,
                              struct vqct_error *error);

/** Closes the file; NULL is allowed. */
void history_close(struct history *history);

/** Appends a line. Errors: WRITE, MEMORY. */
enum vqct_status history_add(struct history *history, const struct vqct_train_progress *row,
                             struct vqct_error *error);

/** Appends a line of validation. Errors: WRITE, MEMORY. */
enum vqct_status history_add_validation(struct history *history, uint64_t step,
                                        const struct vqct_evaluation *result,
                                        struct vqct_error *error);

/** Draws the losses, usage, perplexity and validation of a metrics file as one SVG. Errors: READ,
 * DATA (a line is not JSON), WRITE, MEMORY. */
enum vqct_status curves_draw(const char *metrics, const char *svg, struct vqct_error *error);

#endif
