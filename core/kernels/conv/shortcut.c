/* Row by row, so that what the product leaves is still in the first cache when it is written. */
#include "shortcut.h"

#include "direct.h"

size_t shortcut_scratch(const struct filter *shortcut, int columns) {
  return (size_t)columns * shortcut->simd->panel;
}

const float *shortcut_input(const struct filter_job *job, const struct filter_task *task) {
  const struct filter_target *target = job->target;
  const size_t tile = (size_t)job->filter->winograd->tile;
  size_t line = task->image * (size_t)target->height + (size_t)task->row * tile;
  return target->output->shortcut->x +
         (line * (size_t)target->width + (size_t)task->column * tile) *
             target->shortcut->in_channels;
}

void shortcut_write(const struct filter_job *job, const struct filter_task *task, size_t panel,
                    const struct epilogue *output, float *scratch) {
  const struct filter *filter = job->target->shortcut;
  const struct simd *simd = filter->simd;
  size_t vectors = simd_panel_vectors(simd, filter->out_channels, panel);
  size_t width = vectors * simd->lanes, depth = filter->in_channels;
  struct product product = {.rows = output->columns,
                            .runs = 1,
                            .depth = depth,
                            .vectors = vectors,
                            .a = shortcut_input(job, task),
                            .a_row = depth,
                            .a_step = 1,
                            .b = filter_panel(filter, panel, depth),
                            .b_row = width,
                            .c = scratch,
                            .c_row = width};
  struct epilogue row = {.y = output->y,
                         .row_stride = output->row_stride,
                         .pixel_stride = output->pixel_stride,
                         .rows = 1,
                         .columns = output->columns,
                         .channels = output->channels,
                         .bias = filter->bias + panel * simd->panel};
  for (size_t i = 0; i < output->rows; i++) {
    simd->product(&product);
    simd->epilogue(scratch, width, &row);
    product.a += (size_t)job->target->width * depth;
    row.y += output->row_stride;
  }
}

enum vqct_status shortcut_run(const struct filter_target *target, int images,
                              const struct exec *exec) {
  struct conv_input input = {.x = target->output->shortcut->x,
                             .images = images,
                             .height = target->height,
                             .width = target->width};
  struct conv_output output = {.y = target->output->y};
  struct filter_target whole = {.output = &output,
                                .height = target->height,
                                .width = target->width,
                                .rows = target->height,
                                .columns = target->width,
                                .step = 1};
  return direct_run(target->shortcut, &input, &whole, exec);
}
