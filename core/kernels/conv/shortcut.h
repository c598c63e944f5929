/* A convolution of kernel 1 beside another one, into the memory where that adds it. */
#ifndef KERNELS_SHORTCUT_H
#define KERNELS_SHORTCUT_H

#include "filter_job.h"

/** Floats of scratch for rectangles of so many columns. */
size_t shortcut_scratch(const struct filter *shortcut, int columns);

/** Where it reads what it adds to a task's tiles. */
const float *shortcut_input(const struct filter_job *job, const struct filter_task *task);

/** Writes it into one panel of y under a task's tiles. */
void shortcut_write(const struct filter_job *job, const struct filter_task *task, size_t panel,
                    const struct epilogue *output, float *scratch);

/** Writes the whole of it. Errors: MEMORY (scratch). */
enum vqct_status shortcut_run(const struct filter_target *target, int images,
                              const struct exec *exec);

#endif
