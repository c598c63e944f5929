/* The direct form of a filter: for each row of taps, pixels times (taps of the row, channels),
 * which lie side by side in memory once the input has been gathered with zeros around it. */
#include "direct.h"

#include "ahead.h"
#include "gather.h"

#define BLOCK_PIXELS 96 /* of output; the input for them stays in the second cache */
#define BLOCK_ACROSS 32 /* of these side by side */
/* Depth of one product, so that the panel of weights stays in the first cache. */
#define BLOCK_DEPTH 256

static struct region block_region(const struct filter *filter, const struct filter_task *task) {
  return (struct region){
      .row = task->row * filter->stride - filter->top,
      .column = task->column * filter->stride - filter->left,
      .rows = (task->rows - 1) * filter->stride + filter->kernel_rows,
      .columns = (task->columns - 1) * filter->stride + filter->kernel_columns,
      .channels = filter->in_channels,
  };
}

/* One panel of the block's output, without bias, into values; y, where it goes then, is asked for
 * row by row. */
static void block_product(const struct filter *filter, const struct filter_task *task,
                          const struct region *region, const float *pixels, const float *weights,
                          size_t vectors, float *values, struct ahead y) {
  size_t depth = (size_t)filter->kernel_columns * filter->in_channels;
  size_t width = vectors * filter->simd->lanes, stride = (size_t)filter->stride;
  size_t line = (size_t)region->columns * filter->in_channels;
  size_t runs = depth <= BLOCK_DEPTH ? (size_t)filter->kernel_rows : 1;
  for (size_t tap_row = 0; tap_row < (size_t)filter->kernel_rows; tap_row += runs)
    for (size_t first = 0; first < depth; first += BLOCK_DEPTH)
      for (size_t row = 0; row < (size_t)task->rows; row++) {
        struct product product = {
            .rows = (size_t)task->columns,
            .runs = runs,
            .depth = depth - first < BLOCK_DEPTH ? depth - first : BLOCK_DEPTH,
            .vectors = vectors,
            .a = pixels + (row * stride + tap_row) * line + first,
            .a_row = stride * filter->in_channels,
            .a_step = 1,
            .a_run = line,
            .b = weights + (tap_row * depth + first) * width,
            .b_row = width,
            .b_run = depth * width,
            .c = values + row * (size_t)task->columns * width,
            .c_row = width,
            .accumulate = tap_row > 0 || first > 0,
        };
        ahead_ask(&y, (size_t)task->columns, 1);
        filter->simd->product(&product);
      }
}

static void direct_task(void *argument, size_t number, unsigned worker) {
  const struct filter_job *job = argument;
  const struct filter *filter = job->filter;
  struct filter_task task = filter_task_at(job, number, job->target->rows, job->target->columns);
  struct region region = block_region(filter, &task);
  float *pixels = job->scratch + worker * job->worker_floats;
  float *values = pixels + job->worker_floats -
                  (size_t)(job->split.block_rows * job->split.block_columns) * filter->simd->panel;
  gather(filter->simd, job->input, filter->in_channels, task.image, &region, filter->in_channels,
         pixels);
  size_t depth = (size_t)(filter->kernel_rows * filter->kernel_columns) * filter->in_channels;
  for (size_t panel = task.first_panel; panel < task.end_panel; panel++) {
    size_t vectors = simd_panel_vectors(filter->simd, filter->out_channels, panel);
    struct epilogue epilogue;
    filter_epilogue(job, &task, panel, task.row, task.column, task.rows, task.columns, &epilogue);
    block_product(filter, &task, &region, pixels, filter_panel(filter, panel, depth), vectors,
                  values, ahead_of_output(&epilogue, epilogue.channels));
    filter->simd->epilogue(values, vectors * filter->simd->lanes, &epilogue);
  }
}

enum vqct_status direct_run(const struct filter *filter, const struct conv_input *input,
                            const struct filter_target *target, const struct exec *exec) {
  struct filter_job job = {.filter = filter, .input = input, .target = target};
  filter_split(filter, target->rows, target->columns, BLOCK_PIXELS, BLOCK_ACROSS, &job.split);
  struct filter_task whole = {.rows = job.split.block_rows, .columns = job.split.block_columns};
  struct region region = block_region(filter, &whole);
  job.worker_floats =
      simd_round(filter->simd, (size_t)region.rows * (size_t)region.columns * filter->in_channels) +
      (size_t)(whole.rows * whole.columns) * filter->simd->panel;
  return filter_job_run(&job, direct_task, exec);
}
