/* The metrics of a run: one JSON object a line, and the curves drawn from them.
 *
 * A line of training has "step", "seconds", "images_per_second", "bad_pictures", losses and, for
 * each codebook, NAME_usage and NAME_perplexity over the "window" positions since the line before.
 * A line of validation has "step" and an object "validation".
 */
#ifndef TRAIN_METRICS_LOG_H
#define TRAIN_METRICS_LOG_H

#include <stdint.h>

#include "vqct/train.h"

struct metrics_log;

/** Opens a file to append to. Lines of steps after `step` are dropped first: a run that goes on
 * from a checkpoint makes them again. Errors: READ, WRITE, MEMORY; *metrics is then NULL. */
enum vqct_status metrics_log_open(const char *path, uint64_t step, struct metrics_log **metrics,
                                  struct vqct_error *error);

/** Closes the file; NULL is allowed. */
void metrics_log_close(struct metrics_log *metrics);

/** Appends a line. Errors: WRITE, MEMORY. */
enum vqct_status metrics_log_add(struct metrics_log *metrics, const struct vqct_train_progress *row,
                                 struct vqct_error *error);

/** Appends a line of validation. Errors: WRITE, MEMORY. */
enum vqct_status metrics_log_add_validation(struct metrics_log *metrics, uint64_t step,
                                            const struct vqct_evaluation *result,
                                            struct vqct_error *error);

/** Draws the losses, usage, perplexity and validation of a metrics file as one SVG. Errors: READ,
 * DATA (a line is not JSON), WRITE, MEMORY. */
enum vqct_status curves_draw(const char *metrics, const char *svg, struct vqct_error *error);

#endif
