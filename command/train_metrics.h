/* The live metrics of a training run for Prometheus, on a port of its own, so that a collapsing
 * codebook shows while there is time to stop. */
#ifndef COMMAND_TRAIN_METRICS_H
#define COMMAND_TRAIN_METRICS_H

#include <stdint.h>

#include "vqct/train.h"

struct train_metrics;

/** Answers GET /metrics on a port of all interfaces, in a thread of its own. Errors: UNAVAILABLE
 * (the port is taken), MEMORY; *metrics is then NULL. */
enum vqct_status train_metrics_start(uint16_t port, struct train_metrics **metrics,
                                     struct vqct_error *error);

/** Ends the thread; NULL is allowed. */
void train_metrics_stop(struct train_metrics *metrics);

/** Takes over a line of the log; NULL metrics are allowed. */
void train_metrics_log(struct train_metrics *metrics, const struct vqct_train_progress *progress);

/** Takes over a validation; NULL metrics are allowed. */
void train_metrics_validation(struct train_metrics *metrics, const struct vqct_evaluation *result);

#endif
