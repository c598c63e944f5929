/* An input without a prologue is transformed where it lies, tile by tile, except at the edges. Any
 * other is gathered into scratch first, a row of a block's tiles at a time, so that the prologue is
 * computed once for windows that overlap.
 */
#include "tiles.h"

#include <string.h>

#include "gather.h"
#include "size.h"

#define CACHE_LINE 16 /* floats */

static int blocks_across(const struct tile_grid *grid) {
  return (grid->across + grid->block_columns - 1) / grid->block_columns;
}

size_t tile_grid_blocks(const struct tile_grid *grid) {
  int down = (grid->down + grid->block_rows - 1) / grid->block_rows;
  return (size_t)down * (size_t)blocks_across(grid);
}

struct tile_block tile_grid_block(const struct tile_grid *grid, size_t number) {
  size_t blocks = tile_grid_blocks(grid);
  int place = (int)(number % blocks), across = blocks_across(grid);
  struct tile_block block = {.image = number / blocks,
                             .row = place / across * grid->block_rows,
                             .column = place % across * grid->block_columns};
  int down_left = grid->down - block.row, across_left = grid->across - block.column;
  block.rows = down_left < grid->block_rows ? down_left : grid->block_rows;
  block.columns = across_left < grid->block_columns ? across_left : grid->block_columns;
  return block;
}

size_t tile_grid_before(const struct tile_grid *grid, size_t number) {
  struct tile_block block = tile_grid_block(grid, number);
  size_t across = (size_t)grid->across;
  return (block.image * (size_t)grid->down + (size_t)block.row) * across +
         (size_t)block.rows * (size_t)block.column;
}

size_t tiles_scratch(const struct tile_reader *reader, int columns) {
  size_t high = (size_t)(reader->step + reader->border);
  size_t wide = (size_t)(columns * reader->step + reader->border);
  return high * wide * size_least(simd_round(reader->simd, reader->channels), TILES_CHANNELS);
}

/* Whether windows inside the picture can be read where they are. */
static bool is_plain(const struct tile_reader *reader) {
  const struct conv_input *input = reader->input;
  return !input->scale && !input->swish && !input->upsample &&
         reader->channels % reader->simd->lanes == 0;
}

/* Asks for what the tile after the next adds; from: where a tile of some channels begins. */
static void ask_ahead(const struct tile_reader *reader, const float *from, size_t channels) {
  size_t pixel = reader->channels, row = (size_t)reader->input->width * pixel;
  const size_t step = (size_t)reader->step, border = (size_t)reader->border;
  for (size_t i = 0; i < step + border; i++)
    for (size_t j = 2 * step; j < 3 * step; j++)
      for (size_t c = 0; c < channels; c += CACHE_LINE)
        __builtin_prefetch(from + i * row + j * pixel + c);
}

/* Transforms one tile of a plain input, from where it lies or, at an edge, by way of scratch. */
static void read_plain_tile(const struct tile_reader *reader, const struct tile_block *block,
                            int row, int column, float *scratch, float *points,
                            size_t point_stride) {
  const struct conv_input *input = reader->input;
  int side = reader->step + reader->border;
  struct region region = {
      .row = row * reader->step - reader->top,
      .column = column * reader->step - reader->left,
      .rows = side,
      .columns = side,
      .first_channel = block->first_channel,
      .channels = block->end_channel - block->first_channel,
  };
  if (region.row >= 0 && region.column >= 0 && region.row + side <= input->height &&
      region.column + side <= input->width) {
    size_t line =
        (block->image * (size_t)input->height + (size_t)region.row) * (size_t)input->width +
        (size_t)region.column;
    const float *from = input->x + line * reader->channels + region.first_channel;
    ask_ahead(reader, from, region.channels);
    reader->transform(from, (size_t)input->width * reader->channels, reader->channels,
                      region.channels, points + region.first_channel, point_stride);
    return;
  }
  for (; region.first_channel < block->end_channel; region.first_channel += TILES_CHANNELS) {
    region.channels = size_least(block->end_channel - region.first_channel, TILES_CHANNELS);
    gather(reader->simd, input, reader->channels, block->image, &region, region.channels, scratch);
    reader->transform(scratch, (size_t)side * region.channels, region.channels, region.channels,
                      points + region.first_channel, point_stride);
  }
}

static void read_plain(const struct tile_reader *reader, const struct tile_block *block,
                       float *scratch, float *points, size_t point_stride, size_t tile_stride) {
  for (int row = 0; row < block->rows; row++)
    for (int column = 0; column < block->columns; column++, points += tile_stride)
      read_plain_tile(reader, block, block->row + row, block->column + column, scratch, points,
                      point_stride);
}

/* Channels of a range that fit the scratch. The rows that a tile shares with the one below move up,
 * so that each is gathered once. */
static void read_gathered(const struct tile_reader *reader, const struct tile_block *block,
                          float *scratch, float *points, size_t point_stride, size_t tile_stride) {
  struct region region = {
      .row = block->row * reader->step - reader->top,
      .column = block->column * reader->step - reader->left,
      .rows = reader->step + reader->border,
      .columns = block->columns * reader->step + reader->border,
      .first_channel = block->first_channel,
      .channels = block->end_channel - block->first_channel,
  };
  const size_t step = (size_t)reader->step, columns = (size_t)block->columns;
  const size_t stride = simd_round(reader->simd, region.channels);
  const size_t line = (size_t)region.columns * stride;
  const size_t shared = (size_t)reader->border * line;
  float *to = scratch;
  for (int row = 0; row < block->rows; row++) {
    gather(reader->simd, reader->input, reader->channels, block->image, &region, stride, to);
    for (size_t column = 0; column < columns; column++, points += tile_stride)
      reader->transform(scratch + column * step * stride, line, stride, stride, points,
                        point_stride);
    memmove(scratch, scratch + step * line, shared * sizeof *scratch);
    region.row += region.rows;
    region.rows = reader->step;
    to = scratch + shared;
  }
}

void tiles_read(const struct tile_reader *reader, const struct tile_block *block, float *scratch,
                float *points, size_t point_stride, size_t tile_stride) {
  if (is_plain(reader)) {
    read_plain(reader, block, scratch, points, point_stride, tile_stride);
    return;
  }
  struct tile_block part = *block;
  for (; part.first_channel < block->end_channel; part.first_channel = part.end_channel) {
    part.end_channel =
        part.first_channel + size_least(block->end_channel - part.first_channel, TILES_CHANNELS);
    read_gathered(reader, &part, scratch, points + part.first_channel, point_stride, tile_stride);
  }
}
