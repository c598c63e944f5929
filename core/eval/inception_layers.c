/* The published tables, row by row. A macro says how a layer stands on its path: FIRST and NEXT are
 * read by the layer behind them, LAST, ALONE and PARTED join the block's output.
 */
#include "inception_layers.h"

#define CONVOLUTION(name, from, joins, channels, height, width, stride, padded)                    \
  { name, INCEPTION_CONVOLUTION, from, joins, channels, height, width, stride, padded }
#define FIRST(name, channels) CONVOLUTION(name, FROM_BLOCK, false, channels, 1, 1, 1, false)
#define ALONE(name, channels) CONVOLUTION(name, FROM_BLOCK, true, channels, 1, 1, 1, false)
#define NEXT(name, channels, height, width)                                                        \
  CONVOLUTION(name, FROM_LAYER, false, channels, height, width, 1, true)
#define LAST(name, channels, height, width)                                                        \
  CONVOLUTION(name, FROM_LAYER, true, channels, height, width, 1, true)
#define PARTED(name, channels, height, width)                                                      \
  CONVOLUTION(name, FROM_SAME, true, channels, height, width, 1, true)
#define HALVING(name, from, channels) CONVOLUTION(name, from, true, channels, 3, 3, 2, false)
#define POOL(kind)                                                                                 \
  { 0, kind, FROM_BLOCK, false, 0, 3, 3, 1, true }
#define HALVING_POOL                                                                               \
  { 0, INCEPTION_MAXIMUM, FROM_BLOCK, true, 0, 3, 3, 2, false }

static const struct inception_layer stem_1a[] = {HALVING(0, FROM_BLOCK, 32)};
static const struct inception_layer stem_2a[] = {
    CONVOLUTION(0, FROM_BLOCK, true, 32, 3, 3, 1, false)};
static const struct inception_layer stem_2b[] = {
    CONVOLUTION(0, FROM_BLOCK, true, 64, 3, 3, 1, true)};
static const struct inception_layer stem_pool[] = {HALVING_POOL};
static const struct inception_layer stem_3b[] = {ALONE(0, 80)};
static const struct inception_layer stem_4a[] = {
    CONVOLUTION(0, FROM_BLOCK, true, 192, 3, 3, 1, false)};

static const struct inception_layer mixed_a[] = {
    ALONE("branch1x1", 64),      FIRST("branch5x5_1", 48),         LAST("branch5x5_2", 64, 5, 5),
    FIRST("branch3x3dbl_1", 64), NEXT("branch3x3dbl_2", 96, 3, 3), LAST("branch3x3dbl_3", 96, 3, 3),
    POOL(INCEPTION_MEAN),        LAST("branch_pool", 0, 1, 1),
};

static const struct inception_layer mixed_b[] = {
    HALVING("branch3x3", FROM_BLOCK, 384),
    FIRST("branch3x3dbl_1", 64),
    NEXT("branch3x3dbl_2", 96, 3, 3),
    HALVING("branch3x3dbl_3", FROM_LAYER, 96),
    HALVING_POOL,
};

static const struct inception_layer mixed_c[] = {
    ALONE("branch1x1", 192),           FIRST("branch7x7_1", 0),
    NEXT("branch7x7_2", 0, 1, 7),      LAST("branch7x7_3", 192, 7, 1),
    FIRST("branch7x7dbl_1", 0),        NEXT("branch7x7dbl_2", 0, 7, 1),
    NEXT("branch7x7dbl_3", 0, 1, 7),   NEXT("branch7x7dbl_4", 0, 7, 1),
    LAST("branch7x7dbl_5", 192, 1, 7), POOL(INCEPTION_MEAN),
    LAST("branch_pool", 192, 1, 1),
};

static const struct inception_layer mixed_d[] = {
    FIRST("branch3x3_1", 192),
    HALVING("branch3x3_2", FROM_LAYER, 320),
    FIRST("branch7x7x3_1", 192),
    NEXT("branch7x7x3_2", 192, 1, 7),
    NEXT("branch7x7x3_3", 192, 7, 1),
    HALVING("branch7x7x3_4", FROM_LAYER, 192),
    HALVING_POOL,
};

/* The two last blocks differ in how they pool alone. */
#define MIXED_E(pooling)                                                                           \
  ALONE("branch1x1", 320), FIRST("branch3x3_1", 384), LAST("branch3x3_2a", 384, 1, 3),             \
      PARTED("branch3x3_2b", 384, 3, 1), FIRST("branch3x3dbl_1", 448),                             \
      NEXT("branch3x3dbl_2", 384, 3, 3), LAST("branch3x3dbl_3a", 384, 1, 3),                       \
      PARTED("branch3x3dbl_3b", 384, 3, 1), POOL(pooling), LAST("branch_pool", 192, 1, 1)

static const struct inception_layer mixed_e[] = {MIXED_E(INCEPTION_MEAN)};
static const struct inception_layer mixed_last[] = {MIXED_E(INCEPTION_MAXIMUM)};

#define BLOCK(name, layers, width)                                                                 \
  { name, layers, (int)(sizeof layers / sizeof *layers), width }

const struct inception_block inception_blocks[] = {
    BLOCK("Conv2d_1a_3x3", stem_1a, 0), BLOCK("Conv2d_2a_3x3", stem_2a, 0),
    BLOCK("Conv2d_2b_3x3", stem_2b, 0), BLOCK("maxpool1", stem_pool, 0),
    BLOCK("Conv2d_3b_1x1", stem_3b, 0), BLOCK("Conv2d_4a_3x3", stem_4a, 0),
    BLOCK("maxpool2", stem_pool, 0),    BLOCK("Mixed_5b", mixed_a, 32),
    BLOCK("Mixed_5c", mixed_a, 64),     BLOCK("Mixed_5d", mixed_a, 64),
    BLOCK("Mixed_6a", mixed_b, 0),      BLOCK("Mixed_6b", mixed_c, 128),
    BLOCK("Mixed_6c", mixed_c, 160),    BLOCK("Mixed_6d", mixed_c, 160),
    BLOCK("Mixed_6e", mixed_c, 192),    BLOCK("Mixed_7a", mixed_d, 0),
    BLOCK("Mixed_7b", mixed_e, 0),      BLOCK("Mixed_7c", mixed_last, 0),
};

const size_t inception_block_count = sizeof inception_blocks / sizeof *inception_blocks;
