/* A task computes one block of rows and one panel of columns of C in a tile of its own: it packs
 * the panel of B, some depth at a time, multiplies, and adds the finished tile to C. */
#include "gemm.h"

#include <string.h>

#include "simd.h"
#include "size.h"

#define BLOCK_ROWS  256 /* so that packing a panel of B costs little beside using it */
#define BLOCK_DEPTH 256 /* of a packed panel, which then fits the first cache */

struct gemm_job {
  const struct gemm *gemm;
  const struct simd *simd;
  size_t panels;
  float *scratch; /* of each worker: a packed panel and a tile of C */
};

/* Rows first to first + depth - 1 of `columns` columns of B, filled up with zeros to `width`. */
static void pack_panel(const struct gemm_matrix *b, size_t first, size_t depth, size_t column,
                       size_t columns, size_t width, float *to) {
  for (size_t k = 0; k < depth; k++, to += width) {
    if (b->transposed)
      for (size_t j = 0; j < columns; j++)
        to[j] = b->data[(column + j) * b->stride + first + k];
    else
      memcpy(to, b->data + (first + k) * b->stride + column, columns * sizeof *to);
    memset(to + columns, 0, (width - columns) * sizeof *to);
  }
}

static void add_tile(const struct gemm *gemm, size_t row, size_t rows, size_t column,
                     size_t columns, const float *tile, size_t width) {
  for (size_t i = 0; i < rows; i++) {
    float *c = gemm->c + (row + i) * gemm->c_stride + column;
    for (size_t j = 0; j < columns; j++) {
      float value = gemm->scale * tile[i * width + j];
      c[j] = gemm->accumulate ? c[j] + value : value;
    }
  }
}

static void gemm_task(void *argument, size_t number, unsigned worker) {
  const struct gemm_job *job = argument;
  const struct gemm *gemm = job->gemm;
  size_t panel = number % job->panels, row = number / job->panels * BLOCK_ROWS;
  size_t column = panel * job->simd->panel;
  size_t columns = size_least(gemm->columns - column, job->simd->panel);
  size_t vectors = simd_panel_vectors(job->simd, gemm->columns, panel);
  size_t width = vectors * job->simd->lanes;
  float *packed = job->scratch + worker * (BLOCK_DEPTH + BLOCK_ROWS) * job->simd->panel;
  const struct gemm_matrix *a = &gemm->a;
  struct product product = {
      .runs = 1,
      .rows = size_least(gemm->rows - row, BLOCK_ROWS),
      .vectors = vectors,
      .a_row = a->transposed ? 1 : a->stride,
      .a_step = a->transposed ? a->stride : 1,
      .b = packed,
      .b_row = width,
      .c = packed + BLOCK_DEPTH * job->simd->panel,
      .c_row = width,
  };
  memset(product.c, 0, product.rows * width * sizeof(float));
  for (size_t first = 0; first < gemm->depth; first += BLOCK_DEPTH) {
    product.depth = size_least(gemm->depth - first, BLOCK_DEPTH);
    product.a = a->data + row * product.a_row + first * product.a_step;
    product.accumulate = true;
    pack_panel(&gemm->b, first, product.depth, column, columns, width, packed);
    job->simd->product(&product);
  }
  add_tile(gemm, row, product.rows, column, columns, product.c, width);
}

enum vqct_status gemm_run(const struct gemm *gemm, const struct exec *exec) {
  struct gemm_job job = {.gemm = gemm, .simd = simd_best(exec->simd)};
  job.panels = simd_panels(job.simd, gemm->columns);
  struct arena_mark mark = arena_mark(exec->arena);
  job.scratch = arena_alloc(exec->arena, pool_workers(exec->pool) * (BLOCK_DEPTH + BLOCK_ROWS) *
                                             job.simd->panel * sizeof(float));
  if (!job.scratch)
    return VQCT_MEMORY;
  size_t blocks = (gemm->rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
  exec_run(exec, blocks * job.panels, gemm_task, &job);
  arena_release(exec->arena, mark);
  return VQCT_OK;
}
