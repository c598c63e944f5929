#include "tiles.h"

#include "gather.h"

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

size_t tiles_scratch(const struct tile_reader *reader, int rows, int columns) {
  size_t high = (size_t)(rows * WINOGRAD_TILE + reader->border);
  size_t wide = (size_t)(columns * WINOGRAD_TILE + reader->border);
  return high * wide * least(simd_round(reader->simd, reader->channels), TILES_CHANNELS);
}

void tiles_read(const struct tile_reader *reader, const struct tile_block *block, float *scratch,
                float *points, size_t point_stride, size_t tile_stride) {
  struct region region = {
      .row = block->row * WINOGRAD_TILE - reader->top,
      .column = block->column * WINOGRAD_TILE - reader->left,
      .rows = block->rows * WINOGRAD_TILE + reader->border,
      .columns = block->columns * WINOGRAD_TILE + reader->border,
  };
  size_t rows = (size_t)block->rows, columns = (size_t)block->columns;
  for (size_t first = block->first_channel; first < block->end_channel; first += TILES_CHANNELS) {
    region.first_channel = first;
    region.channels = least(block->end_channel - first, TILES_CHANNELS);
    size_t stride = simd_round(reader->simd, region.channels);
    size_t line = (size_t)region.columns * stride;
    gather(reader->simd, reader->input, reader->channels, block->image, &region, stride, scratch);
    for (size_t row = 0; row < rows; row++)
      for (size_t column = 0; column < columns; column++)
        reader->transform(scratch + row * WINOGRAD_TILE * line + column * WINOGRAD_TILE * stride,
                          line, stride, stride,
                          points + (row * columns + column) * tile_stride + first, point_stride);
  }
}
