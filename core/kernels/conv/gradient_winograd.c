/* With y = A' (B' x B . G w G') A for one tile and pair of channels, the gradient for w is
 *     G' (sum over tiles of B' x B . A dy A') G
 * where the sums are, for each of the points, a product of two matrices over the tiles. Where
 * the sums for all channels stay in the cache, they are kept through all bands and transformed back
 * at the end; otherwise part after part of them is computed and transformed back in each band. */
#include <string.h>

#include "gradient.h"
#include "size.h"
#include "tiles.h"

#define BLOCK_SIDE    8   /* tiles along a block's side; a block is read by one task */
#define BAND_TILES    256 /* the depth of one product; both its factors stay in the cache */
#define KEPT_CHANNELS 256 /* for which the sums stay in the cache */
#define SIX_CHANNELS  128 /* above, sums for tiles of 6 x 6 take what fewer products save */
#define PART_ROWS     64  /* output channels of a part, whose sums stay in the second cache */

struct band_job {
  const struct gradient *gradient;
  const struct winograd *algorithm;
  struct tile_reader x, dy;
  struct tile_grid grid;
  size_t first, count; /* blocks of this band, numbered through the batch */
  size_t tiles;        /* of this band */
  size_t worker_floats;
  float *scratch;
  size_t in, out;         /* channels, filled up to whole vectors */
  size_t x_step, dy_step; /* floats between points */
  float *x_points, *dy_points;
  float *sums; /* point, panel of input channels, output channel, panel's columns; or NULL */
};

/* Tiles of the band's blocks before block `number`. */
static size_t tiles_before(const struct band_job *job, size_t number) {
  return tile_grid_before(&job->grid, number) - tile_grid_before(&job->grid, job->first);
}

static void read_block(void *argument, size_t number, unsigned worker) {
  const struct band_job *job = argument;
  size_t tile = tiles_before(job, job->first + number);
  struct tile_block block = tile_grid_block(&job->grid, job->first + number);
  block.end_channel = job->x.channels;
  float *scratch = job->scratch + worker * job->worker_floats;
  tiles_read(&job->x, &block, scratch, job->x_points + tile * job->in, job->x_step, job->in);
  block.end_channel = job->dy.channels;
  tiles_read(&job->dy, &block, scratch, job->dy_points + tile * job->out, job->dy_step, job->out);
}

static bool point_idle(const struct band_job *job, size_t point) {
  return job->gradient->shape->pad_before == 1 &&
         gradient_point_idle(job->gradient, (size_t)job->algorithm->window, point);
}

static void multiply_point(void *argument, size_t point, unsigned worker) {
  (void)worker;
  const struct band_job *job = argument;
  const struct simd *simd = job->gradient->simd;
  size_t panels = simd_panels(simd, job->in);
  for (size_t panel = 0; panel < panels && !point_idle(job, point); panel++) {
    struct product product = {
        .runs = 1,
        .rows = job->out,
        .depth = job->tiles,
        .vectors = simd_panel_vectors(simd, job->in, panel),
        .a = job->dy_points + point * job->dy_step,
        .a_row = 1,
        .a_step = job->out,
        .b = job->x_points + point * job->x_step + panel * simd->panel,
        .b_row = job->in,
        .c = job->sums + (point * panels + panel) * job->out * simd->panel,
        .c_row = simd->panel,
        .accumulate = true,
    };
    simd->product(&product);
  }
}

/* Transforms the sums of one output channel and one panel and adds them to dweight. */
static void add_panel(const struct band_job *job, size_t o, size_t panel, const float *sums,
                      size_t point_stride) {
  const struct simd *simd = job->gradient->simd;
  size_t in = (size_t)job->gradient->shape->in_channels, first = panel * simd->panel;
  size_t count = in - first < simd->panel ? in - first : simd->panel;
  float taps[9 * PANEL_MAX], *dweight = job->gradient->dweight + (o * in + first) * 9;
  job->algorithm->weight_gradient(sums, point_stride, simd_panel_vectors(simd, job->in, panel),
                                  taps, PANEL_MAX);
  for (size_t i = 0; i < count; i++)
    for (size_t tap = 0; tap < 9; tap++)
      dweight[i * 9 + tap] += taps[tap * PANEL_MAX + i];
}

static void add_output_channel(void *argument, size_t o, unsigned worker) {
  (void)worker;
  const struct band_job *job = argument;
  size_t width = job->gradient->simd->panel, panels = simd_panels(job->gradient->simd, job->in);
  for (size_t panel = 0; panel < panels; panel++)
    add_panel(job, o, panel, job->sums + (panel * job->out + o) * width, panels * job->out * width);
}

/* One panel of input channels and PART_ROWS output channels of a band, from points to dweight. */
static void add_part(void *argument, size_t number, unsigned worker) {
  const struct band_job *job = argument;
  const struct simd *simd = job->gradient->simd;
  size_t panels = simd_panels(simd, job->in), panel = number % panels;
  size_t first = number / panels * PART_ROWS, out = (size_t)job->gradient->shape->out_channels;
  size_t rows = out - first < PART_ROWS ? out - first : PART_ROWS;
  float *sums = job->scratch + worker * job->worker_floats;
  for (size_t point = 0; point < job->algorithm->points; point++) {
    struct product product = {
        .rows = rows,
        .runs = 1,
        .depth = job->tiles,
        .vectors = simd_panel_vectors(simd, job->in, panel),
        .a = job->dy_points + point * job->dy_step + first,
        .a_row = 1,
        .a_step = job->out,
        .b = job->x_points + point * job->x_step + panel * simd->panel,
        .b_row = job->in,
        .c = sums + point * PART_ROWS * simd->panel,
        .c_row = simd->panel,
    };
    if (point_idle(job, point))
      memset(product.c, 0, rows * simd->panel * sizeof *product.c);
    else
      simd->product(&product);
  }
  for (size_t o = 0; o < rows; o++)
    add_panel(job, first + o, panel, sums + o * simd->panel, PART_ROWS * simd->panel);
}

static void run_bands(struct band_job *job, const struct exec *exec) {
  size_t out = (size_t)job->gradient->shape->out_channels;
  size_t blocks = (size_t)job->gradient->input->images * tile_grid_blocks(&job->grid);
  size_t most = BAND_TILES / (size_t)(job->grid.block_rows * job->grid.block_columns);
  size_t parts = (out + PART_ROWS - 1) / PART_ROWS * simd_panels(job->gradient->simd, job->in);
  for (job->first = 0; job->first < blocks; job->first += job->count) {
    job->count = blocks - job->first < most ? blocks - job->first : most;
    job->tiles = tiles_before(job, job->first + job->count);
    pool_run(exec->pool, job->count, read_block, job);
    if (job->sums)
      exec_run(exec, job->algorithm->points, multiply_point, job);
    else
      exec_run(exec, parts, add_part, job);
  }
  if (job->sums)
    pool_run(exec->pool, out, add_output_channel, job);
}

static bool take_points(struct band_job *job, struct arena *arena) {
  const size_t points = job->algorithm->points;
  job->x_step = BAND_TILES * job->in + TILES_GAP;
  job->dy_step = BAND_TILES * job->out + TILES_GAP;
  job->x_points = arena_alloc(arena, points * job->x_step * sizeof(float));
  job->dy_points = arena_alloc(arena, points * job->dy_step * sizeof(float));
  return job->x_points && job->dy_points;
}

static bool take_memory(struct band_job *job, const struct exec *exec) {
  const struct simd *simd = job->gradient->simd;
  bool keep = job->in <= KEPT_CHANNELS && job->out <= KEPT_CHANNELS;
  size_t points = job->algorithm->points;
  size_t sums = points * simd_panels(simd, job->in) * simd->panel * job->out;
  job->worker_floats = size_most(tiles_scratch(&job->x, job->grid.block_columns),
                                 tiles_scratch(&job->dy, job->grid.block_columns));
  if (!keep)
    job->worker_floats = size_most(job->worker_floats, points * PART_ROWS * simd->panel);
  job->scratch =
      arena_alloc(exec->arena, pool_workers(exec->pool) * job->worker_floats * sizeof(float));
  if (!job->scratch || !take_points(job, exec->arena))
    return false;
  if (keep)
    job->sums = arena_calloc(exec->arena, sums, sizeof(float));
  return !keep || job->sums;
}

enum vqct_status gradient_winograd(const struct gradient *g, const struct exec *exec) {
  const struct conv_shape *s = g->shape;
  bool few = s->in_channels <= SIX_CHANNELS && s->out_channels <= SIX_CHANNELS;
  const struct winograd *algorithm =
      few ? gradient_algorithm(g->simd, g->height, g->width) : &g->simd->winograd[WINOGRAD_4];
  const int tile = algorithm->tile, side = algorithm->window;
  int down = tiles_in(g->height, tile), across = tiles_in(g->width, tile);
  struct conv_input dy = {
      .x = g->dy, .images = g->input->images, .height = g->height, .width = g->width};
  struct band_job job = {
      .gradient = g,
      .algorithm = algorithm,
      .x = {g->simd, g->input, (size_t)s->in_channels, s->pad_before, s->pad_before, tile,
            side - tile, algorithm->input},
      .dy = {g->simd, &dy, (size_t)s->out_channels, 0, 0, tile, 0, algorithm->gradient},
      .grid = {down, across, (int)size_least((size_t)down, BLOCK_SIDE),
               (int)size_least((size_t)across, BLOCK_SIDE)},
      .in = simd_round(g->simd, (size_t)s->in_channels),
      .out = simd_round(g->simd, (size_t)s->out_channels),
  };
  struct arena_mark mark = arena_mark(exec->arena);
  enum vqct_status status = VQCT_MEMORY;
  if (take_memory(&job, exec)) {
    run_bands(&job, exec);
    status = VQCT_OK;
  }
  arena_release(exec->arena, mark);
  return status;
}
