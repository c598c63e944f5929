/* The direct form of a layer: for each row of taps, pixels times (taps of the row, channels), which
 * lie side by side in memory once the input has been gathered with zeros around it. */
#include "gather.h"
#include "layer.h"

#define BLOCK_PIXELS 96 /* of output; the input for them stays in the second cache */
#define BLOCK_ACROSS 32 /* of these side by side */
/* Depth of one product, so that the panel of weights stays in the first cache. */
#define BLOCK_DEPTH 256

static struct region block_region(const struct layer *layer, const struct layer_task *task) {
  return (struct region){
      .row = task->row * layer->stride - layer->top,
      .column = task->column * layer->stride - layer->left,
      .rows = (task->rows - 1) * layer->stride + layer->kernel_rows,
      .columns = (task->columns - 1) * layer->stride + layer->kernel_columns,
      .channels = layer->in_channels,
  };
}

/* One panel of the block's output, without bias, into values. */
static void block_product(const struct layer *layer, const struct layer_task *task,
                          const struct region *region, const float *pixels, const float *weights,
                          size_t vectors, float *values) {
  size_t depth = (size_t)layer->kernel_columns * layer->in_channels;
  size_t width = vectors * layer->simd->lanes, stride = (size_t)layer->stride;
  size_t line = (size_t)region->columns * layer->in_channels;
  size_t runs = depth <= BLOCK_DEPTH ? (size_t)layer->kernel_rows : 1;
  for (size_t tap_row = 0; tap_row < (size_t)layer->kernel_rows; tap_row += runs)
    for (size_t first = 0; first < depth; first += BLOCK_DEPTH)
      for (size_t row = 0; row < (size_t)task->rows; row++) {
        struct product product = {
            .rows = (size_t)task->columns,
            .runs = runs,
            .depth = depth - first < BLOCK_DEPTH ? depth - first : BLOCK_DEPTH,
            .vectors = vectors,
            .a = pixels + (row * stride + tap_row) * line + first,
            .a_row = stride * layer->in_channels,
            .a_step = 1,
            .a_run = line,
            .b = weights + (tap_row * depth + first) * width,
            .b_row = width,
            .b_run = depth * width,
            .c = values + row * (size_t)task->columns * width,
            .c_row = width,
            .accumulate = tap_row > 0 || first > 0,
        };
        layer->simd->product(&product);
      }
}

static void direct_task(void *argument, size_t number, unsigned worker) {
  const struct layer_job *job = argument;
  const struct layer *layer = job->layer;
  struct layer_task task = layer_task_at(job, number, job->target->rows, job->target->columns);
  struct region region = block_region(layer, &task);
  float *pixels = job->scratch + worker * job->worker_floats;
  float *values = pixels + job->worker_floats -
                  (size_t)(job->split.block_rows * job->split.block_columns) * layer->simd->panel;
  gather(layer->simd, job->input, layer->in_channels, task.image, &region, layer->in_channels,
         pixels);
  size_t depth = (size_t)(layer->kernel_rows * layer->kernel_columns) * layer->in_channels;
  for (size_t panel = task.first_panel; panel < task.end_panel; panel++) {
    size_t vectors = simd_panel_vectors(layer->simd, layer->out_channels, panel);
    struct epilogue epilogue;
    block_product(layer, &task, &region, pixels, layer_panel(layer, panel, depth), vectors, values);
    layer_epilogue(job, &task, panel, task.row, task.column, task.rows, task.columns, &epilogue);
    layer->simd->epilogue(values, vectors * layer->simd->lanes, &epilogue);
  }
}

enum vqct_status direct_run(const struct layer *layer, const struct conv_input *input,
                            const struct layer_target *target, const struct exec *exec) {
  struct layer_job job = {.layer = layer, .input = input, .target = target};
  layer_split(layer, target->rows, target->columns, BLOCK_PIXELS, BLOCK_ACROSS, &job.split);
  struct layer_task whole = {.rows = job.split.block_rows, .columns = job.split.block_columns};
  struct region region = block_region(layer, &whole);
  job.worker_floats =
      simd_round(layer->simd, (size_t)region.rows * (size_t)region.columns * layer->in_channels) +
      (size_t)(whole.rows * whole.columns) * layer->simd->panel;
  return layer_job_run(&job, direct_task, exec);
}
