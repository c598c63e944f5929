/* The Winograd form of a filter. */
#ifndef KERNELS_WINOGRAD_H
#define KERNELS_WINOGRAD_H

#include "filter_job.h"

/** Runs a filter of this form over all images. Errors: MEMORY (scratch). */
enum vqct_status winograd_run(const struct filter *filter, const struct conv_input *input,
                              const struct filter_target *target, const struct exec *exec);

#endif
