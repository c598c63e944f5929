/* Running a filter in the form that it was packed for. */
#ifndef KERNELS_FILTER_RUN_H
#define KERNELS_FILTER_RUN_H

#include "filter_job.h"

/** Runs a filter over all images. Errors: MEMORY (scratch). */
enum vqct_status filter_run(const struct filter *filter, const struct conv_input *input,
                            const struct filter_target *target, const struct exec *exec);

#endif
