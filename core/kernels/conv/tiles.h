/* Pictures to Winograd points: blocks of tiles gathered and transformed. */
#ifndef KERNELS_TILES_H
#define KERNELS_TILES_H

#include "conv.h"
#include "simd.h"

#define TILES_CHANNELS 128 /* gathered at a time; a multiple of every vector's lanes */
#define TILES_GAP      16  /* floats between matrices, which a power of two would let collide */

/** A tensor read in windows of `step` rows and columns and a border of `border` more, one `step`
 * after the other, the first from row -top and column -left on. */
struct tile_reader {
  const struct simd *simd;
  const struct conv_input *input;
  size_t channels;
  int top, left, step, border;
  void (*transform)(const float *window, size_t row_stride, size_t pixel_stride, size_t channels,
                    float *points, size_t point_stride);
};

/** A rectangle of tiles of one image, and a range of channels. */
struct tile_block {
  size_t image;
  int row, column, rows, columns;
  size_t first_channel, end_channel;
};

/** The tiles of pictures cut into blocks, which are numbered picture after picture and, in one, row
 * after row. Those at the edges are cut. */
struct tile_grid {
  int down, across;              /* tiles of a picture */
  int block_rows, block_columns; /* tiles of a block */
};

/** Blocks of one picture. */
size_t tile_grid_blocks(const struct tile_grid *grid);

/** Block number `number`, without channels. */
struct tile_block tile_grid_block(const struct tile_grid *grid, size_t number);

/** Tiles of all blocks before block number `number`. */
size_t tile_grid_before(const struct tile_grid *grid, size_t number);

/** Floats of scratch that tiles_read needs for blocks of so many columns of tiles. */
size_t tiles_scratch(const struct tile_reader *reader, int columns);

/** Transforms a block, tile after tile: channel c of point p of tile t goes to points[p *
 * point_stride + t * tile_stride + c]. Channels are filled up with zeros to whole vectors. */
void tiles_read(const struct tile_reader *reader, const struct tile_block *block, float *scratch,
                float *points, size_t point_stride, size_t tile_stride);

/** Tiles of a side that cover a number of pixels. */
static inline int tiles_in(int pixels, int side) {
  return (pixels + side - 1) / side;
}

/** Tiles of a side that cover a picture. */
static inline size_t tiles_of(int height, int width, int side) {
  return (size_t)tiles_in(height, side) * (size_t)tiles_in(width, side);
}

#endif
