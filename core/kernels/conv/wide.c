/* The wide form of a filter. The batch goes through in bands of tiles: first the team transforms
 * the input of a band, then each task takes one panel of output channels, transforms its weights
 * some input channels at a time, multiplies them with all tiles of the band, and writes its output.
 */
#include "wide.h"

#include "ahead.h"

#define BLOCK_SIDE    4  /* tiles along a block's side */
#define BAND_TILES    64 /* over which transforming the weights is spread */
#define READ_CHANNELS 64 /* of one task that reads the input */
#define BLOCK_DEPTH   64 /* input channels whose transformed weights stay in the second cache */

struct wide_job {
  struct filter_job job;
  struct tile_reader reader;
  struct tile_grid grid;
  size_t first, count;                                    /* blocks of this band */
  size_t tiles;                                           /* of this band */
  size_t chunks;                                          /* of input channels, to read */
  size_t input_row, input_step, weight_step, output_step; /* floats */
  float *input; /* points of the band: point, tile, channel */
};

static struct filter_task block_at(const struct wide_job *wide, size_t number) {
  const int tile = wide->job.filter->winograd->tile;
  const struct filter_target *target = wide->job.target;
  return filter_task_at(&wide->job, number, tiles_in(target->rows, tile),
                        tiles_in(target->columns, tile));
}

/* Tiles of the band's blocks before block `number`. */
static size_t tiles_before(const struct wide_job *wide, size_t number) {
  return tile_grid_before(&wide->grid, number) - tile_grid_before(&wide->grid, wide->first);
}

static void read_block(void *argument, size_t number, unsigned worker) {
  const struct wide_job *wide = argument;
  size_t index = wide->first + number / wide->chunks;
  size_t channel = number % wide->chunks * READ_CHANNELS;
  size_t left = wide->reader.channels - channel;
  struct tile_block block = tile_grid_block(&wide->grid, index);
  block.first_channel = channel;
  block.end_channel = channel + (left < READ_CHANNELS ? left : READ_CHANNELS);
  tiles_read(&wide->reader, &block, wide->job.scratch + worker * wide->job.worker_floats,
             wide->input + tiles_before(wide, index) * wide->input_row, wide->input_step,
             wide->input_row);
}

/* The weights that this worker probably transforms next: those of the panel's input channels from
 * `first` on, or of the next panel. */
static struct ahead next_weights(const struct filter *filter, size_t panel, size_t first) {
  size_t taps = filter_points(filter), in = filter->in_channels;
  if (first >= in) {
    first = 0;
    panel++;
  }
  if (panel >= simd_panels(filter->simd, filter->out_channels))
    return (struct ahead){0};
  size_t width =
      simd_panel_vectors(filter->simd, filter->out_channels, panel) * filter->simd->lanes;
  return ahead_of_rows(filter_panel(filter, panel, taps * in) + first * width, taps,
                       size_least(in - first, BLOCK_DEPTH) * width, in * width);
}

/* The band's points of one panel, into output; weights is scratch. */
static void multiply_panel(const struct wide_job *wide, size_t panel, float *weights,
                           float *output) {
  const struct filter *filter = wide->job.filter;
  const struct simd *simd = filter->simd;
  size_t vectors = simd_panel_vectors(simd, filter->out_channels, panel);
  size_t width = vectors * simd->lanes, in = filter->in_channels;
  const float *packed = filter_panel(filter, panel, filter_points(filter) * in);
  for (size_t first = 0; first < in; first += BLOCK_DEPTH) {
    size_t depth = in - first < BLOCK_DEPTH ? in - first : BLOCK_DEPTH;
    for (size_t i = 0; i < depth; i++)
      filter->winograd->weight(packed + (first + i) * width, in * width, vectors,
                               weights + i * width, wide->weight_step);
    struct ahead next = next_weights(filter, panel, first + depth);
    const size_t places = next.left / filter->winograd->points + 1;
    for (size_t point = 0; point < filter->winograd->points; point++) {
      struct product product = {
          .rows = wide->tiles,
          .runs = 1,
          .depth = depth,
          .vectors = vectors,
          .a = wide->input + point * wide->input_step + first,
          .a_row = wide->input_row,
          .a_step = 1,
          .b = weights + point * wide->weight_step,
          .b_row = width,
          .c = output + point * wide->output_step,
          .c_row = width,
          .accumulate = first > 0,
      };
      simd->product(&product);
      ahead_ask(&next, places, 0);
    }
  }
}

static void compute_panel(void *argument, size_t panel, unsigned worker) {
  const struct wide_job *wide = argument;
  const struct filter *filter = wide->job.filter;
  float *weights = wide->job.scratch + worker * wide->job.worker_floats;
  float *output = weights + filter->winograd->points * wide->weight_step;
  size_t width =
      simd_panel_vectors(filter->simd, filter->out_channels, panel) * filter->simd->lanes;
  multiply_panel(wide, panel, weights, output);
  for (size_t i = wide->first; i < wide->first + wide->count; i++) {
    struct filter_task block = block_at(wide, i);
    filter_write_tiles(&wide->job, &block, panel, output + tiles_before(wide, i) * width,
                       wide->output_step, width);
  }
}

static void run_bands(struct wide_job *wide, const struct exec *exec) {
  size_t blocks = filter_tasks(&wide->job);
  size_t most = BAND_TILES / (size_t)(wide->job.split.block_rows * wide->job.split.block_columns);
  for (wide->first = 0; wide->first < blocks; wide->first += wide->count) {
    wide->count = blocks - wide->first < most ? blocks - wide->first : most;
    wide->tiles = tiles_before(wide, wide->first + wide->count);
    exec_run(exec, wide->count * wide->chunks, read_block, wide);
    exec_run(exec, wide->job.split.panels, compute_panel, wide);
  }
}

enum vqct_status wide_run(const struct filter *filter, const struct conv_input *input,
                          const struct filter_target *target, const struct exec *exec) {
  struct conv_input read = *input;
  read.upsample = input->upsample && !filter->upsampled;
  struct wide_job wide = {.job = {.filter = filter, .input = &read, .target = target}};
  const int tile = filter->winograd->tile;
  const struct simd *simd = filter->simd;
  struct filter_split *split = &wide.job.split;
  filter_split(filter, tiles_in(target->rows, tile), tiles_in(target->columns, tile),
               BLOCK_SIDE * BLOCK_SIDE, BLOCK_SIDE, split);
  split->slices = 1;
  wide.grid = (struct tile_grid){tiles_in(target->rows, tile), tiles_in(target->columns, tile),
                                 split->block_rows, split->block_columns};
  wide.reader = filter_tile_reader(&wide.job);
  wide.chunks = (filter->in_channels + READ_CHANNELS - 1) / READ_CHANNELS;
  wide.input_row = simd_round(simd, filter->in_channels);
  wide.input_step = BAND_TILES * wide.input_row + TILES_GAP;
  wide.weight_step = BLOCK_DEPTH * simd->panel + TILES_GAP;
  wide.output_step = BAND_TILES * simd->panel + TILES_GAP;
  size_t reading = tiles_scratch(&wide.reader, split->block_columns);
  size_t computing = filter->winograd->points * (wide.weight_step + wide.output_step);
  wide.job.worker_floats = reading > computing ? reading : computing;
  struct arena_mark mark = arena_mark(exec->arena);
  enum vqct_status status = VQCT_MEMORY;
  wide.input =
      arena_alloc(exec->arena, filter->winograd->points * wide.input_step * sizeof *wide.input);
  if (wide.input && filter_job_begin(&wide.job, exec)) {
    run_bands(&wide, exec);
    filter_job_end(&wide.job);
    status = VQCT_OK;
  }
  arena_release(exec->arena, mark);
  return status;
}
