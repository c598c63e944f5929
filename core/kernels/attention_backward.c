/* For a block of R query rows with probabilities P = softmax(s q k^T), s = C^-1/2:
 *     dv += P^T dm            dP = dm v^T         dS = P * (dP - rowsum(dP * P))
 *     dq  = s dS k            dk += s dS^T q
 * Blocks follow each other in order, so the sums over blocks have one order.
 */
#include "attention_backward.h"

#include <math.h>

#include "gemm.h"

#define BLOCK_ROWS 128

struct attention_rows {
  float *probability, *gradient; /* R,T */
  size_t positions;
};

static void softmax_row(float *row, size_t count) {
  float most = row[0];
  for (size_t i = 1; i < count; i++)
    most = fmaxf(most, row[i]);
  double sum = 0;
  for (size_t i = 0; i < count; i++)
    sum += row[i] = expf(row[i] - most);
  float inverse = (float)(1.0 / sum);
  for (size_t i = 0; i < count; i++)
    row[i] *= inverse;
}

/* Scores become probabilities, and their gradient that of the scores. */
static void row_backward(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct attention_rows *rows = argument;
  float *p = rows->probability + task * rows->positions;
  float *d = rows->gradient + task * rows->positions;
  softmax_row(p, rows->positions);
  double dot = 0;
  for (size_t i = 0; i < rows->positions; i++)
    dot += (double)p[i] * d[i];
  for (size_t i = 0; i < rows->positions; i++)
    d[i] = p[i] * (d[i] - (float)dot);
}

/* What every product of one image shares. */
struct image {
  const float *query, *key, *value, *dmixed;
  float *dquery, *dkey, *dvalue;
  size_t positions, channels;
  float scale;
};

static enum vqct_status rows_backward(const struct image *image, const struct attention_rows *rows,
                                      size_t first, size_t count, const struct exec *exec) {
  size_t t = image->positions, c = image->channels, at = first * c;
  const struct gemm before[] = {
      {count,
       t,
       c,
       {image->query + at, c, false},
       {image->key, c, true},
       image->scale,
       false,
       rows->probability,
       t},
      {count,
       t,
       c,
       {image->dmixed + at, c, false},
       {image->value, c, true},
       1,
       false,
       rows->gradient,
       t},
  };
  const struct gemm after[] = {
      {t,
       c,
       count,
       {rows->probability, t, true},
       {image->dmixed + at, c, false},
       1,
       first > 0,
       image->dvalue,
       c},
      {count,
       c,
       t,
       {rows->gradient, t, false},
       {image->key, c, false},
       image->scale,
       false,
       image->dquery + at,
       c},
      {t,
       c,
       count,
       {rows->gradient, t, true},
       {image->query + at, c, false},
       image->scale,
       first > 0,
       image->dkey,
       c},
  };
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < sizeof before / sizeof *before && status == VQCT_OK; i++)
    status = gemm_run(&before[i], exec);
  exec_run(exec, count, row_backward, (void *)rows);
  for (size_t i = 0; i < sizeof after / sizeof *after && status == VQCT_OK; i++)
    status = gemm_run(&after[i], exec);
  return status;
}

enum vqct_status attention_backward(const float *query, const float *key, const float *value,
                                    const float *dmixed, size_t images, size_t positions,
                                    size_t channels, float *dquery, float *dkey, float *dvalue,
                                    const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t block = positions < BLOCK_ROWS ? positions : BLOCK_ROWS;
  struct attention_rows rows = {.positions = positions};
  enum vqct_status status = VQCT_OK;
  rows.probability = arena_alloc(exec->arena, block * positions * sizeof(float));
  rows.gradient = arena_alloc(exec->arena, block * positions * sizeof(float));
  if (!rows.probability || !rows.gradient)
    status = VQCT_MEMORY;
  for (size_t n = 0; n < images && status == VQCT_OK; n++) {
    size_t at = n * positions * channels;
    struct image image = {
        query + at, key + at,    value + at, dmixed + at, dquery + at,
        dkey + at,  dvalue + at, positions,  channels,    1.0F / sqrtf((float)channels)};
    for (size_t first = 0; first < positions && status == VQCT_OK; first += block)
      status = rows_backward(&image, &rows, first,
                             positions - first < block ? positions - first : block, exec);
  }
  arena_release(exec->arena, mark);
  return status;
}
