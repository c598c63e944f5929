/* The Winograd form of a filter. A task takes a block of tiles: it gathers and transforms their
 * input channels bit by bit into a matrix for each point (tiles x input channels), multiplies one
 * point's after the other by the transformed weights, and transforms the result back. What a point
 * gives takes the place of the point before, so that a block fills little of the second cache. */
#include "winograd.h"

#include "ahead.h"
#include "shortcut.h"

#define BLOCK_TILES     24
#define BLOCK_TILES_MIN 8
#define BLOCK_FLOATS    ((size_t)190 << 10) /* of all points, which fit the second cache */
/* Transformed weights up to this stay there as well. Of more, each block reads all from further
 * away, and the more tiles it has the less often. */
#define WEIGHTS_STAY    ((size_t)160 << 10) /* floats */
#define LARGE_TILES_MAX 40
#define BLOCK_ACROSS    8 /* tiles side by side: a square has the least border to gather twice */
#define ROWS_AHEAD      2 /* of pixels: gathered, each asks for the one below */

/* How a worker's scratch is laid out, in floats: gathered pixels, then a matrix of tiles for each
 * point and one more, of which the products use the first and the input the last ones. */
struct workspace {
  float *pixels, *output, *input;
  size_t row, step; /* from a tile to the next, and from a point to the next */
};

static size_t tile_floats(const struct filter_job *job) {
  const struct simd *simd = job->filter->simd;
  size_t panels = (job->split.panels + job->split.slices - 1) / job->split.slices;
  return size_most(simd_round(simd, job->filter->in_channels), panels * simd->panel);
}

static size_t matrix_floats(const struct filter_job *job) {
  return (size_t)(job->split.block_rows * job->split.block_columns) * tile_floats(job) + TILES_GAP;
}

/* What is in front of the matrices: gathered pixels, or what a shortcut leaves. */
static size_t pixels_floats(const struct filter_job *job) {
  struct tile_reader reader = filter_tile_reader(job);
  size_t floats = tiles_scratch(&reader, job->split.block_columns);
  if (!job->target->shortcut)
    return floats;
  int columns = job->split.block_columns * job->filter->winograd->tile;
  return size_most(floats, shortcut_scratch(job->target->shortcut, columns));
}

static struct workspace workspace_of(const struct filter_job *job, float *scratch) {
  struct workspace w = {.pixels = scratch, .row = tile_floats(job), .step = matrix_floats(job)};
  w.output = scratch + pixels_floats(job);
  w.input = w.output + w.step;
  return w;
}

static struct filter_task task_at(const struct filter_job *job, size_t number) {
  const int tile = job->filter->winograd->tile;
  return filter_task_at(job, number, tiles_in(job->target->rows, tile),
                        tiles_in(job->target->columns, tile));
}

/* What is asked for while points are multiplied. */
struct needs {
  struct ahead y, residual;
  struct ahead shortcut; /* what it reads */
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
  if (rows <= 0 || columns <= 0) /* padding alone */
    return;
  size_t channels = job->filter->in_channels, line = (size_t)input->width * channels;
  size_t at = (task.image * (size_t)input->height + (size_t)row) * line + (size_t)column * channels;
  needs->input = ahead_of_rows(input->x + at, (size_t)rows, (size_t)columns * channels, line);
}

/* The rectangle of a panel of output that a task writes. */
static struct epilogue task_epilogue(const struct filter_job *job, const struct filter_task *task,
                                     size_t panel) {
  const int tile = job->filter->winograd->tile;
  int row = task->row * tile, column = task->column * tile;
  int rows = task->rows * tile, rows_left = job->target->rows - row;
  int columns = task->columns * tile, columns_left = job->target->columns - column;
  struct epilogue epilogue;
  filter_epilogue(job, task, panel, row, column, rows < rows_left ? rows : rows_left,
                  columns < columns_left ? columns : columns_left, &epilogue);
  return epilogue;
}

/* What a task writes, and reads to write it. */
static void look_at_output(const struct filter_job *job, const struct filter_task *task,
                           struct needs *needs) {
  const struct epilogue output = task_epilogue(job, task, task->first_panel);
  size_t first = task->first_panel * job->filter->simd->panel;
  size_t end = size_least(task->end_panel * job->filter->simd->panel, job->filter->out_channels);
  needs->y = needs->residual = ahead_of_output(&output, end - first);
  needs->residual.at = output.residual;
  if (!output.residual || output.residual == output.y)
    needs->residual.left = 0;
  if (!job->target->shortcut)
    return;
  size_t channels = job->target->shortcut->in_channels;
  needs->shortcut = ahead_of_rows(shortcut_input(job, task), output.rows, output.columns * channels,
                                  (size_t)job->target->width * channels);
}

static void multiply_point(const struct filter *filter, const struct filter_task *task,
                           size_t point, const struct workspace *w) {
  const size_t in = filter->in_channels, panel_floats = filter->simd->panel;
  for (size_t panel = task->first_panel; panel < task->end_panel; panel++) {
    size_t vectors = simd_panel_vectors(filter->simd, filter->out_channels, panel);
    size_t width = vectors * filter->simd->lanes;
    struct product product = {
        .runs = 1,
        .rows = (size_t)(task->rows * task->columns),
        .depth = in,
        .vectors = vectors,
        .a = w->input + point * w->step,
        .a_row = w->row,
        .a_step = 1,
        .b = filter_panel(filter, panel, filter->winograd->points * in) + point * in * width,
        .b_row = width,
        .c = w->output + point * w->step + (panel - task->first_panel) * panel_floats,
        .c_row = w->row,
    };
    filter->simd->product(&product);
  }
}

static void multiply_points(const struct filter *filter, const struct filter_task *task,
                            const struct workspace *w, struct needs *needs) {
  const size_t points = filter->winograd->points;
  const size_t output = needs->y.left / points + 1, shortcut = needs->shortcut.left / points + 1,
               input = needs->input.left / points + 1;
  for (size_t point = 0; point < points; point++) {
    multiply_point(filter, task, point, w);
    ahead_ask(&needs->y, output, 1);
    ahead_ask(&needs->residual, output, 0);
    ahead_ask(&needs->shortcut, shortcut, 0);
    ahead_ask(&needs->input, input, 0);
  }
}

static void winograd_task(void *argument, size_t number, unsigned worker) {
  const struct filter_job *job = argument;
  struct filter_task task = task_at(job, number);
  if (task.first_panel >= task.end_panel) /* slices may be more than it takes */
    return;
  struct workspace w = workspace_of(job, job->scratch + worker * job->worker_floats);
  struct tile_reader reader = filter_tile_reader(job);
  struct tile_block block = {task.image,   task.row, task.column,    task.rows,
                             task.columns, 0,        reader.channels};
  struct needs needs = {0};
  size_t next = number + 1, tasks = filter_tasks(job);
  look_ahead(job, next < tasks ? next : number, &needs);
  look_at_output(job, &task, &needs);
  tiles_read(&reader, &block, w.pixels, w.input, w.step, w.row);
  multiply_points(job->filter, &task, &w, &needs);
  for (size_t panel = task.first_panel; panel < task.end_panel; panel++) {
    if (job->target->shortcut) {
      struct epilogue output = task_epilogue(job, &task, panel);
      shortcut_write(job, &task, panel, &output, w.pixels);
    }
    filter_write_tiles(job, &task, panel,
                       w.output + (panel - task.first_panel) * job->filter->simd->panel, w.step,
                       w.row);
  }
}

static int block_tiles(const struct filter *filter) {
  size_t points = filter->winograd->points, in = filter->in_channels, out = filter->out_channels;
  size_t most = points * in * out <= WEIGHTS_STAY ? BLOCK_TILES : LARGE_TILES_MAX;
  size_t tiles = BLOCK_FLOATS / (points * size_most(in, out));
  return (int)size_most(size_least(tiles, most), BLOCK_TILES_MIN);
}

enum vqct_status winograd_run(const struct filter *filter, const struct conv_input *input,
                              const struct filter_target *target, const struct exec *exec) {
  struct conv_input read = *input;
  read.upsample = input->upsample && !filter->upsampled;
  struct filter_job job = {.filter = filter, .input = &read, .target = target};
  const int tile = filter->winograd->tile;
  filter_split(filter, tiles_in(target->rows, tile), tiles_in(target->columns, tile),
               block_tiles(filter), BLOCK_ACROSS, &job.split);
  size_t matrices = filter->winograd->points + 1;
  job.worker_floats =
      simd_round(filter->simd, pixels_floats(&job) + matrices * matrix_floats(&job));
  return filter_job_run(&job, winograd_task, exec);
}
