/* Inside the convolution: one packed layer in one of its three forms.
 *
 * A layer is a correlation with a kernel of kernel_rows x kernel_columns taps; output (i, j) reads
 * input rows from i * stride - top and columns from j * stride - left on. A whole convolution is
 * one layer. So is its gradient for the input at stride 1; at stride 2 that gradient is four
 * layers, one for each parity of row and column.
 *
 * Direct form: for each row of taps the product of pixels and taps * channels. Winograd form: tiles
 * of 4 x 4 outputs through F(4x4, 3x3), a quarter of the multiplications for four times the
 * weights. Wide form: the same with the weights as they are, transformed panel by panel while the
 * points of all tiles wait; for layers whose transformed weights would fill the memory.
 */
#ifndef KERNELS_LAYER_H
#define KERNELS_LAYER_H

#include "conv.h"
#include "simd.h"
#include "tiles.h"

enum layer_form {
  LAYER_DIRECT,
  LAYER_WINOGRAD,
  LAYER_WIDE /* packed as the direct form, which also serves images too small for tiles */
};

struct layer {
  const struct simd *simd;
  enum layer_form form;
  size_t in_channels, out_channels;
  int kernel_rows, kernel_columns, stride, top, left;
  /* Panel after panel of output channels. Direct, wide: row of taps, tap, input channel, panel.
   * Winograd: point, input channel, panel. A last panel of one vector is packed as narrow as that.
   */
  float *weights;
  float *bias; /* out_channels, padded with zeros to whole panels */
};

/** Weights as a layer sees them: element (o, i, row, column) at the given strides from `first`,
 * which may be negative where a gradient turns the kernel around. */
struct weight_view {
  const float *first;
  ptrdiff_t out, in, row, column;
};

/** Where the output goes: layer row i is row first_row + i * step of y, likewise columns. */
struct layer_target {
  const struct conv_output *output;
  int height, width; /* of y */
  int rows, columns; /* computed by this layer */
  int first_row, first_column, step;
};

/** Decides the form by the layer's shape. */
void layer_choose(struct layer *layer);

/** Floats of weights, and of bias, for a layer whose form is chosen; false where that overflows. */
bool layer_sizes(const struct layer *layer, size_t *weights, size_t *bias);

/** Fills layer->weights and layer->bias; bias may be NULL for zeros, pool for the caller alone. */
void layer_pack(const struct layer *layer, const struct weight_view *view, const float *bias,
                struct pool *pool);

/** Runs a layer over all images. */
enum vqct_status layer_run(const struct layer *layer, const struct conv_input *input,
                           const struct layer_target *target, const struct exec *exec);

/** Taps of the kernel, or points that they are transformed to. */
static inline size_t layer_points(const struct layer *layer) {
  return layer->form == LAYER_WINOGRAD ? WINOGRAD_POINTS
                                       : (size_t)layer->kernel_rows * (size_t)layer->kernel_columns;
}

/** Panel number `panel` of the packed weights, `depth` rows a panel. */
static inline const float *layer_panel(const struct layer *layer, size_t panel, size_t depth) {
  return layer->weights + panel * layer->simd->panel * depth;
}

/* ---- what the forms share ------------------------------------------------------------------ */

/** How the work on one image is split. Blocks of output and slices of output channels are the
 * tasks; their shape depends on the layer and the image's shape alone. */
struct layer_split {
  int block_rows, block_columns;  /* of output pixels or tiles in a block */
  int blocks_down, blocks_across; /* of an image */
  size_t panels, slices;          /* of output channels; a slice is some panels */
};

/** Picks block rows and columns for an image of rows x columns pixels or tiles, at most `most` in a
 * block and `most_across` side by side, and slices so that an image gives enough tasks. */
void layer_split(const struct layer *layer, int rows, int columns, int most, int most_across,
                 struct layer_split *split);

/** One run of a layer, handed to the tasks. */
struct layer_job {
  const struct layer *layer;
  const struct conv_input *input;
  const struct layer_target *target;
  struct layer_split split;
  size_t worker_floats; /* scratch of a worker */
  float *scratch;
  double *statistics; /* per task: sums, then squares, of the slice's panels; NULL: not wanted */
};

/** A task's place: image, block, first panel and its end. */
struct layer_task {
  size_t image, first_panel, end_panel;
  int row, column;   /* of the block's first output pixel or tile */
  int rows, columns; /* of the block, cut at the image's edge */
  double *sums, *squares;
};

/** Decodes a task's number; rows and columns are the image's in pixels or tiles. */
struct layer_task layer_task_at(const struct layer_job *job, size_t number, int rows, int columns);

/** Tasks of a job; its split must be set. */
static inline size_t layer_tasks(const struct layer_job *job) {
  return (size_t)job->input->images * (size_t)job->split.blocks_down *
         (size_t)job->split.blocks_across * job->split.slices;
}

/** Takes scratch and statistics from the arena, which the caller releases; false where there is too
 * little. job->worker_floats and split must be set. */
bool layer_job_begin(struct layer_job *job, const struct exec *exec);

/** Adds up the tasks' statistics, in their order. */
void layer_job_end(const struct layer_job *job);

/** Begins, runs `task` for all tasks and ends. */
enum vqct_status layer_job_run(struct layer_job *job, pool_task *task, const struct exec *exec);

/** Doubles of one task's sums. */
static inline size_t layer_slice_channels(const struct layer_job *job) {
  return (job->split.panels + job->split.slices - 1) / job->split.slices * job->layer->simd->panel;
}

/** Fills the epilogue of a rectangle of layer pixels and one panel. */
void layer_epilogue(const struct layer_job *job, const struct layer_task *task, size_t panel,
                    int row, int column, int rows, int columns, struct epilogue *epilogue);

/** What reads a job's input in tiles. */
struct tile_reader layer_tile_reader(const struct layer_job *job);

/** Transforms the points of a task's tiles and one panel (a tile's panel after another, the points
 * point_stride apart) and writes them. */
void layer_write_tiles(const struct layer_job *job, const struct layer_task *task, size_t panel,
                       const float *points, size_t point_stride);

/** The forms. */
enum vqct_status direct_run(const struct layer *layer, const struct conv_input *input,
                            const struct layer_target *target, const struct exec *exec);
enum vqct_status winograd_run(const struct layer *layer, const struct conv_input *input,
                              const struct layer_target *target, const struct exec *exec);
enum vqct_status wide_run(const struct layer *layer, const struct conv_input *input,
                          const struct layer_target *target, const struct exec *exec);

#endif
