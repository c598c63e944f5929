/* With q = p + t - pad, the gradient for a weight, sum over p of dy[p] x[p + t - pad], is also the
 * sum over q of x[q] dy[q - t + pad]: tiles of x against windows of dy, and the gradient for x
 * reads the very same windows. So one transform of dy serves two products, every number of x is
 * read and put through the prologue once, and a band's points never leave the cache.
 *
 * The tiles of the batch are cut into groups, by the layer's shape and the batch alone; a task runs
 * one group and sums its share of the weights' gradient, and at the end the shares are added up in
 * their order. Upsampling makes neighbours equal, which the point -1 takes to 0 in x and leaves out
 * of sums of neighbours in dx, so that 11 of 36 products are not made, or 15 of 64. */
#include "gradient_both.h"

#include <string.h>

#include "ahead.h"
#include "filter_pack.h"
#include "size.h"
#include "tiles.h"

#define CHANNELS_MIN   8    /* below, the transforms cost more than they save */
#define BAND_PIXELS    1152 /* of x: the points of both stay in the second cache */
#define BLOCK_ROWS     2    /* tiles of a block, of which a row is gathered at once */
#define BLOCK_COLUMNS  8
#define GROUPS_MAX     8
#define TILES_MIN      512 /* of 4 x 4 in the batch; fewer would leave a team without work */
#define CHANNELS_MAX   64  /* above, transforming twice costs little beside the products, */
#define UPSAMPLED_MAX  128 /* and a third fewer products repays the memory for groups to here */
#define TILE_MAX       6
#define OUTPUT_NUMBERS ((size_t)TILE_MAX * TILE_MAX * PANEL_MAX) /* of a tile */

struct both_job {
  const struct gradient *gradient;
  const struct winograd *algorithm;
  struct filter filter; /* of the gradient for x */
  float *dx;
  struct tile_reader x, dy;
  struct tile_grid grid;
  size_t blocks, groups;  /* of the batch */
  size_t band_tiles;      /* at most: the depth of the products for the weights */
  size_t in, out;         /* channels, filled up to whole vectors */
  size_t x_step, dy_step; /* floats between points */
  size_t sums_floats;     /* of a group */
  size_t scratch_floats, worker_floats;
  float *scratch; /* of each worker: gathered pixels, points of x and of dy */
  float *sums;    /* group, point, panel of input channels, output channel, panel's columns */
};

/* The blocks that a task works on at a time, and its memory. */
struct band {
  size_t first, count, tiles;
  float *x_points, *dy_points, *sums; /* points of dx take the place of those of x */
  bool accumulate;
};

static size_t tiles_before(const struct both_job *job, const struct band *band, size_t block) {
  return tile_grid_before(&job->grid, block) - tile_grid_before(&job->grid, band->first);
}

static bool is_idle(const struct both_job *job, size_t point) {
  return gradient_point_idle(job->gradient, (size_t)job->algorithm->window, point);
}

static void read_band(const struct both_job *job, const struct band *band, float *scratch) {
  for (size_t i = band->first; i < band->first + band->count; i++) {
    struct tile_block block = tile_grid_block(&job->grid, i);
    size_t tile = tiles_before(job, band, i);
    block.end_channel = job->x.channels;
    tiles_read(&job->x, &block, scratch, band->x_points + tile * job->in, job->x_step, job->in);
    block.end_channel = job->dy.channels;
    tiles_read(&job->dy, &block, scratch, band->dy_points + tile * job->out, job->dy_step,
               job->out);
  }
}

static void multiply_weights(const struct both_job *job, const struct band *band) {
  const struct simd *simd = job->gradient->simd;
  size_t panels = simd_panels(simd, job->in);
  for (size_t i = 0; i < job->algorithm->points * panels; i++) {
    size_t point = i / panels, panel = i % panels;
    struct product product = {
        .runs = 1,
        .rows = job->out,
        .depth = band->tiles,
        .vectors = simd_panel_vectors(simd, job->in, panel),
        .a = band->dy_points + point * job->dy_step,
        .a_row = 1,
        .a_step = job->out,
        .b = band->x_points + point * job->x_step + panel * simd->panel,
        .b_row = job->in,
        .c = band->sums + i * job->out * simd->panel,
        .c_row = simd->panel,
        .accumulate = band->accumulate,
    };
    if (!is_idle(job, point))
      simd->product(&product);
  }
}

static void multiply_input(const struct both_job *job, const struct band *band, size_t panel) {
  const struct filter *filter = &job->filter;
  const size_t vectors = simd_panel_vectors(filter->simd, job->in, panel);
  const size_t width = vectors * filter->simd->lanes;
  const size_t points = job->algorithm->points;
  const float *weights = filter_panel(filter, panel, points * filter->in_channels);
  for (size_t point = 0; point < points; point++) {
    struct product product = {
        .runs = 1,
        .rows = band->tiles,
        .depth = filter->in_channels,
        .vectors = vectors,
        .a = band->dy_points + point * job->dy_step,
        .a_row = job->out,
        .a_step = 1,
        .b = weights + point * filter->in_channels * width,
        .b_row = width,
        .c = band->x_points + point * job->x_step + panel * filter->simd->panel,
        .c_row = job->in,
    };
    if (!is_idle(job, point))
      filter->simd->product(&product);
    else if (panel == 0) /* for all of them */
      memset(product.c, 0, band->tiles * job->in * sizeof *product.c);
  }
}

/* Adds up squares of 2 x 2 of a tile as far as dx goes; row: floats of one of the tile's. */
static void fold_tile(const float *tile, size_t row, size_t width, const struct epilogue *e) {
  for (size_t i = 0; i < e->rows / 2; i++)
    for (size_t j = 0; j < e->columns / 2; j++) {
      const float *top = tile + 2 * i * row + 2 * j * width, *bottom = top + row;
      float *dx = e->y + i * e->row_stride + j * e->pixel_stride;
      for (size_t c = 0; c < e->channels; c++)
        dx[c] = (top[c] + top[width + c]) + (bottom[c] + bottom[width + c]);
    }
}

/* Where one tile of a panel of dx goes; row and column are of its first pixel. */
static struct epilogue tile_epilogue(const struct both_job *job, size_t image, int row, int column,
                                     size_t panel) {
  const struct conv_input *input = job->gradient->input;
  size_t channels = job->x.channels, first = panel * job->gradient->simd->panel;
  int factor = input->upsample ? 2 : 1, width = input->width;
  int rows = input->height * factor - row, columns = width * factor - column;
  const int tile = job->algorithm->tile;
  size_t pixel = (image * (size_t)input->height + (size_t)(row / factor)) * (size_t)width +
                 (size_t)(column / factor);
  return (struct epilogue){
      .y = job->dx + pixel * channels + first,
      .row_stride = (size_t)width * channels,
      .pixel_stride = channels,
      .rows = (size_t)(rows < tile ? rows : tile),
      .columns = (size_t)(columns < tile ? columns : tile),
      .channels = size_least(channels - first, job->gradient->simd->panel),
      .bias = job->filter.bias + first,
  };
}

static void write_tile(const struct both_job *job, const struct epilogue *e, const float *points) {
  const struct simd *simd = job->gradient->simd;
  if (!job->gradient->input->upsample) {
    job->algorithm->output(points, job->x_step, e);
    return;
  }
  float tile[OUTPUT_NUMBERS];
  struct epilogue whole = *e;
  whole.y = tile;
  whole.row_stride = (size_t)job->algorithm->tile * simd->panel;
  whole.pixel_stride = simd->panel;
  job->algorithm->output(points, job->x_step, &whole);
  fold_tile(tile, whole.row_stride, simd->panel, e);
}

/* Asks for the memory of a tile, which the product leaves time to fetch. */
static void prefetch_tile(const struct epilogue *e, size_t factor) {
  struct epilogue tile = *e;
  tile.rows /= factor;
  tile.columns /= factor;
  struct ahead ahead = ahead_of_output(&tile, tile.channels);
  ahead_ask(&ahead, ahead.left, 1);
}

/* Writes a panel of the band's tiles from their points, or only prefetches where they go. */
static void write_panel(const struct both_job *job, const struct band *band, size_t panel,
                        const bool prefetch) {
  const float *points = band->x_points + panel * job->gradient->simd->panel;
  const int tile = job->algorithm->tile;
  for (size_t i = band->first; i < band->first + band->count; i++) {
    struct tile_block block = tile_grid_block(&job->grid, i);
    for (int row = 0; row < block.rows; row++)
      for (int column = 0; column < block.columns; column++, points += job->in) {
        struct epilogue e = tile_epilogue(job, block.image, (block.row + row) * tile,
                                          (block.column + column) * tile, panel);
        if (prefetch)
          prefetch_tile(&e, job->gradient->input->upsample ? 2 : 1);
        else
          write_tile(job, &e, points);
      }
  }
}

static void group_task(void *argument, size_t group, unsigned worker) {
  const struct both_job *job = argument;
  const struct simd *simd = job->gradient->simd;
  float *scratch = job->scratch + worker * job->worker_floats;
  const size_t points = job->algorithm->points;
  size_t most = job->band_tiles / (size_t)(job->grid.block_rows * job->grid.block_columns);
  size_t end = job->blocks * (group + 1) / job->groups;
  struct band band = {.first = job->blocks * group / job->groups};
  band.x_points = scratch + job->scratch_floats;
  band.dy_points = band.x_points + points * job->x_step;
  band.sums = job->sums + group * job->sums_floats;
  for (; band.first < end; band.first += band.count, band.accumulate = true) {
    band.count = size_least(end - band.first, most);
    band.tiles = tiles_before(job, &band, band.first + band.count);
    read_band(job, &band, scratch);
    multiply_weights(job, &band);
    for (size_t panel = 0; panel < simd_panels(simd, job->in); panel++) {
      write_panel(job, &band, panel, true);
      multiply_input(job, &band, panel);
      write_panel(job, &band, panel, false);
    }
  }
}

/* Adds up all groups' sums of one point and panel, in the groups' order, in place of the first's.
 */
static void add_groups(void *argument, size_t number, unsigned worker) {
  (void)worker;
  const struct both_job *job = argument;
  size_t count = job->out * job->gradient->simd->panel;
  float *restrict sums = job->sums + number * count;
  if (is_idle(job, number / simd_panels(job->gradient->simd, job->in))) {
    memset(sums, 0, count * sizeof *sums);
    return;
  }
  for (size_t group = 1; group < job->groups; group++) {
    const float *restrict from = sums + group * job->sums_floats;
    for (size_t c = 0; c < count; c++)
      sums[c] += from[c];
  }
}

/* Transforms the sums of one output channel and adds them to dweight. */
static void add_output_channel(void *argument, size_t o, unsigned worker) {
  (void)worker;
  const struct both_job *job = argument;
  const struct simd *simd = job->gradient->simd;
  const size_t in = job->x.channels, taps = 9, panels = simd_panels(simd, job->in);
  for (size_t panel = 0; panel < panels; panel++) {
    float gradient[9 * PANEL_MAX];
    size_t first = panel * simd->panel, count = size_least(in - first, simd->panel);
    job->algorithm->weight_gradient(job->sums + (panel * job->out + o) * simd->panel,
                                    panels * job->out * simd->panel,
                                    simd_panel_vectors(simd, job->in, panel), gradient, PANEL_MAX);
    float *dweight = job->gradient->dweight + (o * in + first) * taps;
    for (size_t c = 0; c < count; c++)
      for (size_t tap = 0; tap < taps; tap++) /* windows of dy see the taps from the last one on */
        dweight[c * taps + tap] += gradient[(taps - 1 - tap) * PANEL_MAX + c];
  }
}

static bool pack_weights(struct both_job *job, const float *weight, const struct exec *exec) {
  const struct conv_shape *s = job->gradient->shape;
  const ptrdiff_t taps = 9;
  job->filter = (struct filter){
      .simd = job->gradient->simd,
      .form = FILTER_WINOGRAD,
      .winograd = job->algorithm,
      .in_channels = (size_t)s->out_channels,
      .out_channels = (size_t)s->in_channels,
      .kernel_rows = 3,
      .kernel_columns = 3,
      .stride = 1,
  };
  struct weight_view view = {weight + taps - 1, taps, s->in_channels * taps, -3, -1};
  size_t weights, bias;
  if (!filter_sizes(&job->filter, &weights, &bias) ||
      !(job->filter.weights = arena_alloc(exec->arena, weights * sizeof(float))) ||
      !(job->filter.bias = arena_alloc(exec->arena, bias * sizeof(float))))
    return false;
  filter_pack(&job->filter, &view, NULL, exec->pool);
  return true;
}

/* Sizes of the scratch, and its memory; channels are few, so that nothing overflows. */
static bool take_memory(struct both_job *job, const struct exec *exec) {
  const struct simd *simd = job->gradient->simd;
  size_t x = tiles_scratch(&job->x, job->grid.block_columns);
  size_t dy = tiles_scratch(&job->dy, job->grid.block_columns);
  job->scratch_floats = size_most(x, dy);
  job->x_step = job->band_tiles * job->in + TILES_GAP;
  job->dy_step = job->band_tiles * job->out + TILES_GAP;
  job->worker_floats = job->scratch_floats + job->algorithm->points * (job->x_step + job->dy_step);
  job->sums_floats = job->algorithm->points * simd_panels(simd, job->in) * simd->panel * job->out;
  job->scratch =
      arena_alloc(exec->arena, pool_workers(exec->pool) * job->worker_floats * sizeof(float));
  job->sums = arena_alloc(exec->arena, job->groups * job->sums_floats * sizeof(float));
  return job->scratch && job->sums;
}

/* Rows or columns of x that the convolution sees. */
static int side_of(const struct gradient *g, int side) {
  return g->input->upsample ? 2 * side : side;
}

static size_t batch_tiles(const struct gradient *g, int tile) {
  return (size_t)g->input->images *
         tiles_of(side_of(g, g->input->height), side_of(g, g->input->width), tile);
}

bool gradient_both_pays(const struct gradient *g) {
  const struct conv_shape *s = g->shape;
  int most = g->input->upsample ? UPSAMPLED_MAX : CHANNELS_MAX;
  return s->kernel == 3 && s->stride == 1 && s->in_channels >= CHANNELS_MIN &&
         s->out_channels >= CHANNELS_MIN && s->in_channels <= most && s->out_channels <= most &&
         batch_tiles(g, g->simd->winograd[WINOGRAD_4].tile) >= TILES_MIN;
}

/* Blocks of nearly equal width, in rows of tiles. */
static struct tile_grid grid_of(const struct gradient *g, int tile) {
  int down = tiles_in(side_of(g, g->input->height), tile);
  int across = tiles_in(side_of(g, g->input->width), tile);
  int blocks = tiles_in(across, BLOCK_COLUMNS);
  return (struct tile_grid){down, across, down < BLOCK_ROWS ? down : BLOCK_ROWS,
                            tiles_in(across, blocks)};
}

enum vqct_status gradient_both(const struct gradient *g, const float *weight, float *dx,
                               const struct exec *exec) {
  const struct conv_shape *s = g->shape;
  const struct winograd *algorithm =
      gradient_algorithm(g->simd, side_of(g, g->input->height), side_of(g, g->input->width));
  int before = s->kernel - 1 - s->pad_before, tile = algorithm->tile;
  struct conv_input dy = {
      .x = g->dy, .images = g->input->images, .height = g->height, .width = g->width};
  struct both_job job = {
      .gradient = g,
      .algorithm = algorithm,
      .dx = dx,
      .x = {g->simd, g->input, (size_t)s->in_channels, 0, 0, tile, 0, algorithm->gradient},
      .dy = {g->simd, &dy, (size_t)s->out_channels, before, before, tile, algorithm->window - tile,
             algorithm->input},
      .grid = grid_of(g, tile),
      .band_tiles = BAND_PIXELS / (size_t)(tile * tile),
      .in = simd_round(g->simd, (size_t)s->in_channels),
      .out = simd_round(g->simd, (size_t)s->out_channels),
  };
  size_t panels = simd_panels(g->simd, job.in);
  job.blocks = (size_t)g->input->images * tile_grid_blocks(&job.grid);
  job.groups = size_least(batch_tiles(g, tile) / job.band_tiles, GROUPS_MAX);
  struct arena_mark mark = arena_mark(exec->arena);
  enum vqct_status status = VQCT_MEMORY;
  if (pack_weights(&job, weight, exec) && take_memory(&job, exec)) {
    exec_run(exec, job.groups, group_task, &job);
    pool_run(exec->pool, algorithm->points * panels, add_groups, &job);
    pool_run(exec->pool, (size_t)s->out_channels, add_output_channel, &job);
    status = VQCT_OK;
  }
  arena_release(exec->arena, mark);
  return status;
}
