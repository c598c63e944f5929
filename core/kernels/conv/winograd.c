/* The Winograd form of a filter. A task takes a block of tiles: it gathers and transforms their
 * input channels bit by bit into a matrix for each point (tiles x input channels), and for each
 * panel of output channels multiplies all of them by the transformed weights and transforms the
 * result back. The last panel's result takes the place of what it is made of. */
#include "winograd.h"

#include "ahead.h"
#include "shortcut.h"

#define BLOCK_TILES_MAX 24
#define BLOCK_TILES_MIN 8
/* Transformed, a block's tiles leave room in the second cache for a panel's weights and output. */
#define BLOCK_FLOATS ((size_t)128 << 10)
#define BLOCK_ACROSS 8 /* tiles side by side: a square has the least border to gather twice */
#define ROWS_AHEAD   2 /* of pixels: each asks for the one below when it is read */

/* How a worker's scratch is laid out, in floats from its start: gathered pixels, points of the
 * input, points of a panel of output that is not the last. */
struct workspace {
  float *pixels;
  size_t input, output, end;
  size_t input_row, input_step, output_step;
};

static struct workspace workspace_of(const struct filter_job *job) {
  const struct simd *simd = job->filter->simd;
  struct tile_reader reader = filter_tile_reader(job);
  size_t tiles = (size_t)(job->split.block_rows * job->split.block_columns);
  size_t points = job->filter->winograd->points;
  struct workspace w = {.input_row = simd_round(simd, job->filter->in_channels)};
  w.input_step = tiles * w.input_row + TILES_GAP;
  w.output_step = tiles * simd->panel + TILES_GAP;
  w.input = tiles_scratch(&reader, job->split.block_columns);
  if (job->target->shortcut)
    w.input = size_most(w.input,
                        shortcut_scratch(job->target->shortcut,
                                         job->split.block_columns * job->filter->winograd->tile));
  w.output = w.input + points * w.input_step;
  w.end = w.output;
  if (job->split.panels > 1 || simd->panel > w.input_row)
    w.end += points * w.output_step;
  return w;
}

/* Where a panel of output has its points, and floats between them and between tiles. */
struct panel_points {
  float *first;
  size_t step, row;
};

static struct panel_points panel_points(const struct filter *filter, size_t panel, bool last,
                                        const struct workspace *w) {
  size_t width =
      simd_panel_vectors(filter->simd, filter->out_channels, panel) * filter->simd->lanes;
  if (last && width <= w->input_row)
    return (struct panel_points){w->pixels + w->input, w->input_step, w->input_row};
  return (struct panel_points){w->pixels + w->output, w->output_step, width};
}

static struct filter_task task_at(const struct filter_job *job, size_t number) {
  const int tile = job->filter->winograd->tile;
  return filter_task_at(job, number, tiles_in(job->target->rows, tile),
                        tiles_in(job->target->columns, tile));
}

/* What is asked for while a panel is multiplied. */
struct needs {
  struct epilogue output;
  struct ahead y, residual;
  struct ahead shortcut; /* what it reads for that */
  struct ahead input;    /* what the worker's next task probably reads first */
};

/* The first rows that a task reads, cut at the picture's edges. */
static void look_ahead(const struct filter_job *job, size_t number, struct needs *needs) {
  const struct winograd *algorithm = job->filter->winograd;
  const struct conv_input *input = job->input;
  int factor = input->upsample ? 2 : 1, border = algorithm->window - algorithm->step;
  struct filter_task task = task_at(job, number);
  int row = task.row * algorithm->step / factor, column = task.column * algorithm->step / factor;
  int columns = (task.columns * algorithm->step + border) / factor;
  int rows = ROWS_AHEAD < input->height - row ? ROWS_AHEAD : input->height - row;
  columns = columns < input->width - column ? columns : input->width - column;
  size_t channels = job->filter->in_channels, line = (size_t)input->width * channels;
  size_t at = (task.image * (size_t)input->height + (size_t)row) * line + (size_t)column * channels;
  needs->input = ahead_of_rows(input->x + at, (size_t)rows, (size_t)columns * channels, line);
}

static void multiply_points(const struct filter *filter, size_t tiles, size_t panel,
                            const struct panel_points *to, const struct workspace *w,
                            struct needs *needs) {
  const size_t points = filter->winograd->points;
  const size_t output = needs->y.left / points + 1, shortcut = needs->shortcut.left / points + 1,
               input = needs->input.left / points + 1;
  size_t vectors = simd_panel_vectors(filter->simd, filter->out_channels, panel);
  size_t width = vectors * filter->simd->lanes;
  const float *weights = filter_panel(filter, panel, points * filter->in_channels);
  for (size_t point = 0; point < points; point++) {
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
        .c = to->first + point * to->step,
        .c_row = to->row,
    };
    filter->simd->product(&product);
    ahead_ask(&needs->y, output, 1);
    ahead_ask(&needs->residual, output, 0);
    ahead_ask(&needs->shortcut, shortcut, 0);
    ahead_ask(&needs->input, input, 0);
  }
}

/* The rectangle of a panel of output that a task writes. */
static void task_epilogue(const struct filter_job *job, const struct filter_task *task,
                          size_t panel, struct epilogue *epilogue) {
  const int tile = job->filter->winograd->tile;
  int row = task->row * tile, column = task->column * tile;
  int rows = task->rows * tile, rows_left = job->target->rows - row;
  int columns = task->columns * tile, columns_left = job->target->columns - column;
  filter_epilogue(job, task, panel, row, column, rows < rows_left ? rows : rows_left,
                  columns < columns_left ? columns : columns_left, epilogue);
}

/* The output of a task's panel is written next, and from now on asked for. */
static void look_at_output(const struct filter_job *job, const struct filter_task *task,
                           size_t panel, struct needs *needs) {
  struct epilogue *output = &needs->output;
  task_epilogue(job, task, panel, output);
  needs->y = needs->residual = ahead_of_output(output);
  needs->residual.at = output->residual;
  if (!output->residual || output->residual == output->y)
    needs->residual.left = 0;
  if (!job->target->shortcut)
    return;
  size_t channels = job->target->shortcut->in_channels;
  needs->shortcut =
      ahead_of_rows(shortcut_input(job, task), output->rows, output->columns * channels,
                    (size_t)job->target->width * channels);
}

static void winograd_task(void *argument, size_t number, unsigned worker) {
  const struct filter_job *job = argument;
  struct filter_task task = task_at(job, number);
  struct workspace w = workspace_of(job);
  w.pixels = job->scratch + worker * job->worker_floats;
  struct tile_reader reader = filter_tile_reader(job);
  struct tile_block block = {task.image,   task.row, task.column,    task.rows,
                             task.columns, 0,        reader.channels};
  struct needs needs = {0};
  size_t next = number + 1, tasks = filter_tasks(job);
  look_ahead(job, next < tasks ? next : number, &needs);
  tiles_read(&reader, &block, w.pixels, w.pixels + w.input, w.input_step, w.input_row);
  for (size_t panel = task.first_panel; panel < task.end_panel; panel++) {
    look_at_output(job, &task, panel, &needs);
    struct panel_points points = panel_points(job->filter, panel, panel + 1 == task.end_panel, &w);
    multiply_points(job->filter, (size_t)(task.rows * task.columns), panel, &points, &w, &needs);
    if (job->target->shortcut)
      shortcut_write(job, &task, panel, &needs.output, w.pixels);
    filter_write_tiles(job, &task, panel, points.first, points.step, points.row);
  }
}

static int block_tiles(const struct filter *filter) {
  size_t tiles = BLOCK_FLOATS / (filter->winograd->points * filter->in_channels);
  return tiles < BLOCK_TILES_MIN   ? BLOCK_TILES_MIN
         : tiles > BLOCK_TILES_MAX ? BLOCK_TILES_MAX
                                   : (int)tiles;
}

enum vqct_status winograd_run(const struct filter *filter, const struct conv_input *input,
                              const struct filter_target *target, const struct exec *exec) {
  struct conv_input read = *input;
  read.upsample = input->upsample && !filter->upsampled;
  struct filter_job job = {.filter = filter, .input = &read, .target = target};
  const int tile = filter->winograd->tile;
  filter_split(filter, tiles_in(target->rows, tile), tiles_in(target->columns, tile),
               block_tiles(filter), BLOCK_ACROSS, &job.split);
  job.worker_floats = simd_round(filter->simd, workspace_of(&job).end);
  return filter_job_run(&job, winograd_task, exec);
}
