/* The wide form of a filter. */
#ifndef KERNELS_WIDE_H
#define KERNELS_WIDE_H

#include "filter_job.h"

/** Runs a filter of this form over all images. Errors: MEMORY (scratch). */
enum vqct_status wide_run(const struct filter *filter, const struct conv_input *input,
                          const struct filter_target *target, const struct exec *exec);

#endif
