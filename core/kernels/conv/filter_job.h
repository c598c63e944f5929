/* What the three forms of a filter stand on: how its work is split into tasks, and where their
 * output goes. */
#ifndef KERNELS_FILTER_JOB_H
#define KERNELS_FILTER_JOB_H

#include "conv.h"
#include "filter.h"
#include "tiles.h"

/** Where the output goes: filter row i is row first_row + i * step of y, likewise columns. */
struct filter_target {
  const struct conv_output *output;
  const struct filter *shortcut; /* of output->shortcut, which goes into y first; NULL: none */
  int height, width;             /* of y */
  int rows, columns;             /* computed by this filter */
  int first_row, first_column, step;
};

/** How the work on one image is split. Blocks of output and slices of output channels are the
 * tasks; their shape depends on the filter and the image's shape alone. */
struct filter_split {
  int block_rows, block_columns;  /* of output pixels or tiles in a block */
  int blocks_down, blocks_across; /* of an image */
  size_t panels, slices;          /* of output channels; a slice is some panels */
};

/** Picks block rows and columns for an image of rows x columns pixels or tiles, at most `most` in a
 * block and `most_across` side by side, and slices so that an image gives enough tasks. */
void filter_split(const struct filter *filter, int rows, int columns, int most, int most_across,
                  struct filter_split *split);

/** One run of a filter, handed to the tasks. */
struct filter_job {
  const struct filter *filter;
  const struct conv_input *input;
  const struct filter_target *target;
  struct filter_split split;
  size_t worker_floats; /* scratch of a worker */
  float *scratch;
  double *statistics; /* per task: sums, then squares, of the slice's panels; NULL: not wanted */
};

/** A task's place: image, block, first panel and its end. */
struct filter_task {
  size_t image, first_panel, end_panel;
  int row, column;   /* of the block's first output pixel or tile */
  int rows, columns; /* of the block, cut at the image's edge */
  double *sums, *squares;
};

/** Decodes a task's number; rows and columns are the image's in pixels or tiles. */
struct filter_task filter_task_at(const struct filter_job *job, size_t number, int rows,
                                  int columns);

/** Tasks of a job; its split must be set. */
static inline size_t filter_tasks(const struct filter_job *job) {
  return (size_t)job->input->images * (size_t)job->split.blocks_down *
         (size_t)job->split.blocks_across * job->split.slices;
}

/** Takes scratch and statistics from the arena, which the caller releases; false where there is too
 * little. job->worker_floats and split must be set. */
bool filter_job_begin(struct filter_job *job, const struct exec *exec);

/** Adds up the tasks' statistics, in their order. */
void filter_job_end(const struct filter_job *job);

/** Begins, runs `task` for all tasks and ends. */
enum vqct_status filter_job_run(struct filter_job *job, pool_task *task, const struct exec *exec);

/** Doubles of one task's sums. */
static inline size_t filter_slice_channels(const struct filter_job *job) {
  return (job->split.panels + job->split.slices - 1) / job->split.slices * job->filter->simd->panel;
}

/** Fills the epilogue of a rectangle of filter pixels and one panel. */
void filter_epilogue(const struct filter_job *job, const struct filter_task *task, size_t panel,
                     int row, int column, int rows, int columns, struct epilogue *epilogue);

/** What reads a job's input in tiles. */
struct tile_reader filter_tile_reader(const struct filter_job *job);

/** Transforms the points of a task's tiles and one panel (tile after tile, tile_stride apart, the
 * points point_stride apart) and writes them. */
void filter_write_tiles(const struct filter_job *job, const struct filter_task *task, size_t panel,
                        const float *points, size_t point_stride, size_t tile_stride);

#endif
