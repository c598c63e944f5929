/* A task computes one block of rows and some panels of columns of C. Some depth at a time it packs
 * these panels of B and multiplies, so that what it reads of A stays in the second cache for all of
 * them. A panel is summed where it lies in C if that is all there is to do, and otherwise in a tile
 * of its own, which is then scaled or added to C. */
#include "gemm.h"

#include <string.h>

#include "simd.h"
#include "size.h"

#define BLOCK_ROWS  256 /* so that packing a panel of B costs little beside using it */
#define BLOCK_DEPTH 256 /* of a packed panel, which then fits the first cache */
#define GROUP_MAX   8   /* panels of a task */

struct gemm_job {
  const struct gemm *gemm;
  const struct simd *simd;
  size_t panels, groups, group; /* group: panels of a task, but for the last of a row of groups */
  float *scratch;               /* of each worker: a packed panel and `group` tiles of C */
};

/* What is computed of C at a time, and where. */
struct gemm_panel {
  size_t column, columns, vectors, width; /* width: of whole vectors */
  float *c;
  size_t c_row;
  bool in_place;
};

/* Rows first to first + depth - 1 of a panel of B, filled up with zeros. */
static void pack_panel(const struct gemm_matrix *b, size_t first, size_t depth,
                       const struct gemm_panel *panel, float *to) {
  size_t column = panel->column, columns = panel->columns, width = panel->width;
  for (size_t k = 0; k < depth; k++, to += width) {
    if (b->transposed)
      for (size_t j = 0; j < columns; j++)
        to[j] = b->data[(column + j) * b->stride + first + k];
    else
      memcpy(to, b->data + (first + k) * b->stride + column, columns * sizeof *to);
    memset(to + columns, 0, (width - columns) * sizeof *to);
  }
}

static void add_tile(const struct gemm *gemm, size_t row, size_t rows,
                     const struct gemm_panel *panel) {
  for (size_t i = 0; i < rows; i++) {
    float *c = gemm->c + (row + i) * gemm->c_stride + panel->column;
    for (size_t j = 0; j < panel->columns; j++) {
      float value = gemm->scale * panel->c[i * panel->c_row + j];
      c[j] = gemm->accumulate ? c[j] + value : value;
    }
  }
}

static struct gemm_panel panel_of(const struct gemm_job *job, size_t number, size_t row,
                                  float *tile) {
  const struct gemm *gemm = job->gemm;
  struct gemm_panel panel = {.column = number * job->simd->panel,
                             .vectors = simd_panel_vectors(job->simd, gemm->columns, number)};
  panel.columns = size_least(gemm->columns - panel.column, job->simd->panel);
  panel.width = panel.vectors * job->simd->lanes;
  panel.in_place = gemm->scale == 1 && !gemm->accumulate && panel.columns == panel.width;
  panel.c = panel.in_place ? gemm->c + row * gemm->c_stride + panel.column : tile;
  panel.c_row = panel.in_place ? gemm->c_stride : panel.width;
  return panel;
}

static void gemm_task(void *argument, size_t number, unsigned worker) {
  const struct gemm_job *job = argument;
  const struct gemm *gemm = job->gemm;
  const struct gemm_matrix *a = &gemm->a;
  size_t row = number / job->groups * BLOCK_ROWS, whole = job->simd->panel;
  size_t first_panel = number % job->groups * job->group;
  size_t panels = size_least(job->panels - first_panel, job->group);
  float *packed = job->scratch + worker * (BLOCK_DEPTH + BLOCK_ROWS * job->group) * whole;
  struct gemm_panel panel[GROUP_MAX];
  struct product product = {.runs = 1,
                            .rows = size_least(gemm->rows - row, BLOCK_ROWS),
                            .a_row = a->transposed ? 1 : a->stride,
                            .a_step = a->transposed ? a->stride : 1,
                            .b = packed};
  for (size_t i = 0; i < panels; i++)
    panel[i] = panel_of(job, first_panel + i, row, packed + (BLOCK_DEPTH + BLOCK_ROWS * i) * whole);
  size_t first = 0;
  do { /* a depth of 0 gives zeros */
    product.depth = size_least(gemm->depth - first, BLOCK_DEPTH);
    product.a = a->data + row * product.a_row + first * product.a_step;
    product.accumulate = first > 0;
    for (size_t i = 0; i < panels; i++) {
      pack_panel(&gemm->b, first, product.depth, &panel[i], packed);
      product.vectors = panel[i].vectors;
      product.b_row = panel[i].width;
      product.c = panel[i].c;
      product.c_row = panel[i].c_row;
      job->simd->product(&product);
    }
    first += BLOCK_DEPTH;
  } while (first < gemm->depth);
  for (size_t i = 0; i < panels; i++)
    if (!panel[i].in_place)
      add_tile(gemm, row, product.rows, &panel[i]);
}

enum vqct_status gemm_run(const struct gemm *gemm, const struct exec *exec) {
  struct gemm_job job = {.gemm = gemm, .simd = simd_best(exec->simd)};
  size_t blocks = (gemm->rows + BLOCK_ROWS - 1) / BLOCK_ROWS, workers = pool_workers(exec->pool);
  job.panels = simd_panels(job.simd, gemm->columns);
  /* As many panels together as leave every worker some tasks; results do not depend on it. */
  job.group = size_least(blocks * job.panels / (4 * workers) + 1, GROUP_MAX);
  job.groups = (job.panels + job.group - 1) / job.group;
  struct arena_mark mark = arena_mark(exec->arena);
  job.scratch = arena_alloc(exec->arena, workers * (BLOCK_DEPTH + BLOCK_ROWS * job.group) *
                                             job.simd->panel * sizeof(float));
  if (!job.scratch)
    return VQCT_MEMORY;
  exec_run(exec, blocks * job.groups, gemm_task, &job);
  arena_release(exec->arena, mark);
  return VQCT_OK;
}
