/* The Winograd form of a filter. A task takes a block of tiles: it gathers and transforms their
 * input channels bit by bit into 36 matrices (tiles x input channels), and for each panel of output
 * channels multiplies all 36 by the transformed weights and transforms the result back. */
#include "winograd.h"

#define BLOCK_TILES  32 /* transformed, they about fill the second cache */
#define BLOCK_ACROSS 8  /* tiles side by side: a square has the least border to gather twice */
#define CACHE_LINE   16 /* floats */

/* How a worker's scratch is laid out, in floats from its start: gathered pixels, points of the
 * input, points of one panel of output. */
struct workspace {
  float *pixels;
  size_t input, output, end;
  size_t input_row, input_step, output_step;
};

static struct workspace workspace_of(const struct filter_job *job) {
  const struct simd *simd = job->filter->simd;
  struct tile_reader reader = filter_tile_reader(job);
  size_t tiles = (size_t)(job->split.block_rows * job->split.block_columns);
  struct workspace w = {.input_row = simd_round(simd, job->filter->in_channels)};
  w.input_step = tiles * w.input_row + TILES_GAP;
  w.output_step = tiles * simd->panel + TILES_GAP;
  w.input = tiles_scratch(&reader, job->split.block_rows, job->split.block_columns);
  w.output = w.input + WINOGRAD_POINTS * w.input_step;
  w.end = w.output + WINOGRAD_POINTS * w.output_step;
  return w;
}

static void multiply_points(const struct filter *filter, size_t tiles, size_t panel,
                            const struct workspace *w) {
  size_t vectors = simd_panel_vectors(filter->simd, filter->out_channels, panel);
  size_t width = vectors * filter->simd->lanes;
  const float *weights = filter_panel(filter, panel, WINOGRAD_POINTS * filter->in_channels);
  for (size_t point = 0; point < WINOGRAD_POINTS; point++) {
    struct product product = {
        .runs = 1,
        .rows = tiles,
        .depth = filter->in_channels,
        .vectors = vectors,
        .a = w->pixels + w->input + point * w->input_step,
        .a_row = w->input_row,
        .a_step = 1,
        .b = weights + point * filter->in_channels * width,
        .b_row = width,
        .c = w->pixels + w->output + point * w->output_step,
        .c_row = width,
    };
    filter->simd->product(&product);
  }
}

/* Asks for the panel's part of the output and the residual, which the product leaves time to fetch.
 */
static void prefetch_output(const struct filter_job *job, const struct filter_task *task,
                            size_t panel) {
  int row = task->row * WINOGRAD_TILE, column = task->column * WINOGRAD_TILE;
  int rows = task->rows * WINOGRAD_TILE, rows_left = job->target->rows - row;
  int columns = task->columns * WINOGRAD_TILE, columns_left = job->target->columns - column;
  struct epilogue e;
  filter_epilogue(job, task, panel, row, column, rows < rows_left ? rows : rows_left,
                  columns < columns_left ? columns : columns_left, &e);
  for (size_t i = 0; i < e.rows; i++)
    for (size_t j = 0; j < e.columns; j++)
      for (size_t c = 0; c < e.channels; c += CACHE_LINE) {
        size_t at = i * e.row_stride + j * e.pixel_stride + c;
        __builtin_prefetch(e.y + at, 1, 2);
        if (e.residual)
          __builtin_prefetch(e.residual + at, 0, 2);
      }
}

static void winograd_task(void *argument, size_t number, unsigned worker) {
  const struct filter_job *job = argument;
  struct filter_task task =
      filter_task_at(job, number, tiles_in(job->target->rows), tiles_in(job->target->columns));
  struct workspace w = workspace_of(job);
  w.pixels = job->scratch + worker * job->worker_floats;
  struct tile_reader reader = filter_tile_reader(job);
  struct tile_block block = {task.image,   task.row, task.column,    task.rows,
                             task.columns, 0,        reader.channels};
  tiles_read(&reader, &block, w.pixels, w.pixels + w.input, w.input_step, w.input_row);
  for (size_t panel = task.first_panel; panel < task.end_panel; panel++) {
    prefetch_output(job, &task, panel);
    multiply_points(job->filter, (size_t)(task.rows * task.columns), panel, &w);
    filter_write_tiles(job, &task, panel, w.pixels + w.output, w.output_step);
  }
}

enum vqct_status winograd_run(const struct filter *filter, const struct conv_input *input,
                              const struct filter_target *target, const struct exec *exec) {
  struct filter_job job = {.filter = filter, .input = input, .target = target};
  filter_split(filter, tiles_in(target->rows), tiles_in(target->columns), BLOCK_TILES, BLOCK_ACROSS,
               &job.split);
  job.worker_floats = simd_round(filter->simd, workspace_of(&job).end);
  return filter_job_run(&job, winograd_task, exec);
}
