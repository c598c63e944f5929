/* How one filter's work is cut, and the sums that it leaves for the next norm. The cut depends on
 * the layer and one picture's size alone: blocks of the output, and slices of the output channels
 * where the blocks are too few. A task keeps sums of its own, which are added in the tasks' order.
 */
#include "filter_job.h"

#include "size.h"

#define TASKS_WANTED     8 /* for one image, so that several processors have work */
#define SLICE_PANELS_MIN 2

struct tile_reader filter_tile_reader(const struct filter_job *job) {
  return (struct tile_reader){job->filter->simd,
                              job->input,
                              job->filter->in_channels,
                              job->filter->top,
                              job->filter->left,
                              job->filter->winograd->step,
                              job->filter->winograd->window - job->filter->winograd->step,
                              job->filter->winograd->input};
}

static int divide_up(int a, int b) {
  return (a + b - 1) / b;
}

void filter_split(const struct filter *filter, int rows, int columns, int most, int most_across,
                  struct filter_split *split) {
  int across = divide_up(columns, most_across);
  split->block_columns = divide_up(columns, across);
  split->block_rows = most / split->block_columns < 1 ? 1 : most / split->block_columns;
  split->block_rows = divide_up(rows, divide_up(rows, split->block_rows));
  split->blocks_down = divide_up(rows, split->block_rows);
  split->blocks_across = divide_up(columns, split->block_columns);
  split->panels = simd_panels(filter->simd, filter->out_channels);
  size_t blocks = (size_t)split->blocks_down * (size_t)split->blocks_across;
  split->slices = 1;
  while (blocks * split->slices < TASKS_WANTED &&
         split->panels / (split->slices * 2) >= SLICE_PANELS_MIN)
    split->slices *= 2;
}

struct filter_task filter_task_at(const struct filter_job *job, size_t number, int rows,
                                  int columns) {
  const struct filter_split *s = &job->split;
  size_t slice = number % s->slices, block = number / s->slices;
  size_t per_slice = (s->panels + s->slices - 1) / s->slices;
  size_t blocks = (size_t)s->blocks_down * (size_t)s->blocks_across;
  struct filter_task task = {.image = block / blocks, .first_panel = slice * per_slice};
  task.end_panel =
      task.first_panel + per_slice < s->panels ? task.first_panel + per_slice : s->panels;
  int place = (int)(block % blocks);
  task.row = place / s->blocks_across * s->block_rows;
  task.column = place % s->blocks_across * s->block_columns;
  task.rows = rows - task.row < s->block_rows ? rows - task.row : s->block_rows;
  task.columns =
      columns - task.column < s->block_columns ? columns - task.column : s->block_columns;
  if (job->statistics) {
    size_t channels = filter_slice_channels(job);
    task.sums = job->statistics + number * 2 * channels;
    task.squares = task.sums + channels;
  }
  return task;
}

/* Adds the tasks' sums, in their order, into the groups'. */
static void add_statistics(const struct filter_job *job) {
  const struct conv_output *out = job->target->output;
  const struct filter_split *s = &job->split;
  size_t blocks = (size_t)s->blocks_down * (size_t)s->blocks_across;
  size_t channels = job->filter->out_channels, slice_channels = filter_slice_channels(job);
  size_t groups = (size_t)out->groups, width = channels / groups;
  for (size_t image = 0; image < (size_t)job->input->images; image++)
    for (size_t group = 0; group < groups; group++) {
      double sum = 0, square = 0;
      for (size_t c = group * width; c < (group + 1) * width; c++)
        for (size_t block = 0; block < blocks; block++) {
          size_t task = (image * blocks + block) * s->slices + c / slice_channels;
          const double *sums = job->statistics + task * 2 * slice_channels;
          sum += sums[c % slice_channels];
          square += sums[slice_channels + c % slice_channels];
        }
      out->sums[image * groups + group] = sum;
      out->squares[image * groups + group] = square;
    }
}

bool filter_job_begin(struct filter_job *job, const struct exec *exec) {
  size_t bytes;
  if (!size_multiply(job->worker_floats, pool_workers(exec->pool) * sizeof(float), &bytes) ||
      !(job->scratch = arena_alloc(exec->arena, bytes)))
    return false;
  if (!job->target->output->sums)
    return true;
  job->statistics =
      arena_calloc(exec->arena, filter_tasks(job), 2 * filter_slice_channels(job) * sizeof(double));
  return job->statistics;
}

void filter_job_end(const struct filter_job *job) {
  if (job->statistics)
    add_statistics(job);
}

enum vqct_status filter_job_run(struct filter_job *job, pool_task *task, const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  bool begun = filter_job_begin(job, exec);
  if (begun) {
    exec_run(exec, filter_tasks(job), task, job);
    filter_job_end(job);
  }
  arena_release(exec->arena, mark);
  return begun ? VQCT_OK : VQCT_MEMORY;
}

void filter_epilogue(const struct filter_job *job, const struct filter_task *task, size_t panel,
                     int row, int column, int rows, int columns, struct epilogue *e) {
  const struct filter_target *t = job->target;
  const struct filter *filter = job->filter;
  size_t first = panel * filter->simd->panel,
         local = first - task->first_panel * filter->simd->panel;
  size_t line = (task->image * (size_t)t->height + (size_t)(t->first_row + row * t->step)) *
                    (size_t)t->width +
                (size_t)(t->first_column + column * t->step);
  size_t at = line * filter->out_channels + first;
  size_t left = filter->out_channels - first;
  *e = (struct epilogue){
      .y = t->output->y + at,
      .residual = t->output->residual ? t->output->residual + at : NULL,
      .row_stride = (size_t)t->width * filter->out_channels * (size_t)t->step,
      .pixel_stride = filter->out_channels * (size_t)t->step,
      .rows = (size_t)rows,
      .columns = (size_t)columns,
      .channels = left < filter->simd->panel ? left : filter->simd->panel,
      .bias = filter->bias + first,
      .sums = task->sums ? task->sums + local : NULL,
      .squares = task->squares ? task->squares + local : NULL,
  };
}

void filter_write_tiles(const struct filter_job *job, const struct filter_task *task, size_t panel,
                        const float *points, size_t point_stride, size_t tile_stride) {
  const struct filter *filter = job->filter;
  const int tile = filter->winograd->tile;
  for (int i = 0; i < task->rows; i++)
    for (int j = 0; j < task->columns; j++, points += tile_stride) {
      int row = (task->row + i) * tile, column = (task->column + j) * tile;
      int rows = job->target->rows - row, columns = job->target->columns - column;
      struct epilogue epilogue;
      filter_epilogue(job, task, panel, row, column, rows < tile ? rows : tile,
                      columns < tile ? columns : tile, &epilogue);
      filter->winograd->output(points, point_stride, &epilogue);
    }
}
