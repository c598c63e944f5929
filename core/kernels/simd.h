/* The inner loops, compiled once for each instruction set and chosen at run time.
 *
 * A vector has `lanes` numbers; a panel is one or two vectors of neighbouring columns. Shapes and
 * strides count floats. No function here allocates, and any thread may call them.
 */
#ifndef KERNELS_SIMD_H
#define KERNELS_SIMD_H

#include <stdbool.h>
#include <stddef.h>

#include "cpu.h"

#define PANEL_MAX 32 /* columns of a panel, of any instruction set */

/** C = A B or C += A B for one panel of columns. Element (m, k) of A is a[m * a_row + k * a_step],
 * of which one stride is 1; row k of B is b[k * b_row ...], row m of C is c[m * c_row ...]. The
 * depth may come in several runs, of A a_run and of B b_run apart. Each element of C is one chain
 * of multiply-adds in the order of runs and k. */
struct product {
  size_t rows, runs, depth; /* depth: of one run */
  size_t vectors;           /* of the panel: 1 or 2 */
  const float *a;
  size_t a_row, a_step, a_run;
  const float *b;
  size_t b_row, b_run;
  float *c;
  size_t c_row;
  bool accumulate;
};

/** to = swish(x * scale + shift) for a run of pixels, as far as asked for. The to_stride - channels
 * numbers after each pixel become 0. Reading x, it asks for what lies `ahead` floats further on. */
struct prologue {
  const float *x;
  size_t pixels, x_stride, channels;
  const float *scale, *shift; /* channels each, or both NULL */
  bool swish;
  float *to;
  size_t to_stride;
  size_t ahead; /* the numbers there need not exist */
};

/** The backward pass of swish(x * scale + shift) for a run of pixels, channels next to each other:
 * da becomes du, the gradient for x * scale + shift, and its sums du and du * x are added to. */
struct norm_sums {
  const float *x;
  float *da;
  size_t pixels, channels;
  const float *scale, *shift; /* channels each; not read without swish */
  bool swish;
  float *sums, *products; /* channels each */
};

/** dx = du * scale + x * slope + offset + residual, for a run of pixels. */
struct norm_input {
  const float *x, *du;
  const float *residual; /* may be dx; NULL: none */
  float *dx;             /* may be du */
  size_t pixels, channels;
  const float *scale, *slope, *offset; /* channels each */
};

/** Where a panel of output goes: y = value + bias + residual for a rectangle of pixels. */
struct epilogue {
  float *y;
  const float *residual;           /* laid out as y, or NULL */
  size_t row_stride, pixel_stride; /* of y and residual */
  size_t rows, columns;            /* of the rectangle */
  size_t channels;                 /* of the panel that exist, at most 2 vectors */
  const float *bias;               /* a whole panel, padded with zeros */
  double *sums, *squares;          /* a whole panel each, added to; or both NULL */
};

/** Scores of codes for a panel of positions, the less the nearer: squares[r] - 2 products[r, c]. */
struct scores {
  size_t rows;
  const float *products; /* rows, panel */
  const float *squares;  /* rows */
};

/** The minimal filtering algorithms (Winograd's) for kernels of 3 x 3 taps. */
enum winograd_kind {
  WINOGRAD_4,    /* tiles of 4 x 4 */
  WINOGRAD_6,    /* of 6 x 6: a fifth fewer products, and twice the rounding error */
  WINOGRAD_UP_4, /* the same two over an input of which each number stands for 2 x 2 */
  WINOGRAD_UP_6,
  WINOGRAD_DOWN, /* stride 2: tiles of 4 x 4 */
  WINOGRAD_KINDS
};

struct winograd {
  int window;    /* input rows and columns that a tile reads */
  int step;      /* input rows or columns from a tile to the next */
  int tile;      /* output rows and columns of a tile */
  size_t points; /* numbers of a transformed tile */
  /** A window to points of `channels` (whole vectors) each. */
  void (*input)(const float *window, size_t row_stride, size_t pixel_stride, size_t channels,
                float *points, size_t point_stride);
  /** Points of a panel to a tile of y, of which the epilogue may have fewer rows and columns. */
  void (*output)(const float *points, size_t point_stride, const struct epilogue *);
  /** 3 x 3 taps of one panel each to points of a panel each. */
  void (*weight)(const float *taps, size_t tap_stride, size_t vectors, float *points,
                 size_t point_stride);
  /** Gradient of a tile of pixels to points of `channels` (whole vectors) each: A g A'. NULL for
   * upsampling and stride 2, as is the next. */
  void (*gradient)(const float *tile, size_t row_stride, size_t pixel_stride, size_t channels,
                   float *points, size_t point_stride);
  /** Gradients of points of a panel each to those of 3 x 3 taps: G' s G. */
  void (*weight_gradient)(const float *points, size_t point_stride, size_t vectors, float *taps,
                          size_t tap_stride);
};

struct simd {
  enum cpu_isa isa;
  size_t lanes;
  size_t panel; /* numbers of a panel of two vectors */
  void (*product)(const struct product *);
  void (*prologue)(const struct prologue *);
  /** The least and the second least score of each column (a panel each); infinity for none. */
  void (*least_scores)(const struct scores *, float *first, float *second);
  /** The first row at or after `from` with a score that is not above its column's limit; rows where
   * there is none. NaN is above nothing if the limit is infinite, and may else be passed over. */
  size_t (*next_score)(const struct scores *, const float *limits, size_t from);
  void (*norm_sums)(const struct norm_sums *);
  void (*norm_input)(const struct norm_input *);
  /** Values of a rectangle, pixel after pixel, `value_stride` apart, into y. */
  void (*epilogue)(const float *values, size_t value_stride, const struct epilogue *);
  const struct winograd *winograd; /* WINOGRAD_KINDS of them */
};

/** The kernels for an instruction set; NULL where this machine cannot run them. */
const struct simd *simd_get(enum cpu_isa isa);

/** The best kernels that this machine runs, or those given unless they are NULL. */
const struct simd *simd_best(const struct simd *given);

/** How many panels hold a number of columns. The last one has one vector where that is enough. */
static inline size_t simd_panels(const struct simd *simd, size_t columns) {
  return (columns + simd->panel - 1) / simd->panel;
}

/** Vectors of panel number `panel`: 2, or 1 for a last panel that needs no more. */
static inline size_t simd_panel_vectors(const struct simd *simd, size_t columns, size_t panel) {
  return columns - panel * simd->panel > simd->lanes ? 2 : 1;
}

/** `count` rounded up to whole vectors. */
static inline size_t simd_round(const struct simd *simd, size_t count) {
  return (count + simd->lanes - 1) / simd->lanes * simd->lanes;
}

#endif
