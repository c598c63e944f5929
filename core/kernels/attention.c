/* Some rows of queries at a time against all keys, so that memory grows with the positions and not
 * with their square. A row of scores is whole before its softmax: no running maximum, and the sums
 * are in double, in the row's order.
 */
#include "attention.h"

#include <math.h>

#include "gemm.h"
#include "size.h"

/* exp(x - largest) of a row in place; gives the reciprocal of the sum, which scales the result. */
static float softmax_numerators(float *row, size_t count) {
  float largest = row[0];
  for (size_t i = 1; i < count; i++)
    largest = row[i] > largest ? row[i] : largest;
  double sum = 0;
  for (size_t i = 0; i < count; i++) {
    row[i] = expf(row[i] - largest);
    sum += row[i];
  }
  return (float)(1 / sum);
}

/* Where one image's block of queries is read and written. */
struct query_block {
  const float *query, *key, *value; /* query: the block's first row; key, value: the image's */
  size_t rows, positions, channels;
  float *scores; /* rows,T */
  float *y;
};

static enum vqct_status block_scores(const struct query_block *b, const struct exec *exec) {
  struct gemm product = {.rows = b->rows,
                         .columns = b->positions,
                         .depth = b->channels,
                         .a = {b->query, b->channels, false},
                         .b = {b->key, b->channels, true},
                         .scale = 1 / sqrtf((float)b->channels),
                         .c = b->scores,
                         .c_stride = b->positions};
  return gemm_run(&product, exec);
}

static enum vqct_status block_mix(const struct query_block *b, const struct exec *exec) {
  struct gemm product = {.rows = b->rows,
                         .columns = b->channels,
                         .depth = b->positions,
                         .a = {b->scores, b->positions, false},
                         .b = {b->value, b->channels, false},
                         .scale = 1,
                         .c = b->y,
                         .c_stride = b->channels};
  return gemm_run(&product, exec);
}

static void softmax_row(void *argument, size_t row, unsigned worker) {
  (void)worker;
  const struct query_block *b = argument;
  float *scores = b->scores + row * b->positions;
  float factor = softmax_numerators(scores, b->positions);
  for (size_t i = 0; i < b->positions; i++)
    scores[i] *= factor;
}

enum vqct_status attention_forward(const float *query, const float *key, const float *value,
                                   size_t images, size_t positions, size_t channels, float *y,
                                   const struct exec *exec) {
  enum vqct_status status = VQCT_OK;
  struct arena_mark mark = arena_mark(exec->arena);
  size_t rows = positions < ATTENTION_ROWS ? positions : ATTENTION_ROWS, room;
  float *scores = size_multiply(rows * sizeof *scores, positions, &room)
                      ? arena_alloc(exec->arena, room)
                      : NULL;
  if (!scores)
    return VQCT_MEMORY;
  for (size_t n = 0; n < images && status == VQCT_OK; n++)
    for (size_t first = 0; first < positions && status == VQCT_OK && !exec_stopped(exec);
         first += rows) {
      size_t image = n * positions * channels, left = positions - first;
      struct query_block block = {.query = query + image + first * channels,
                                  .key = key + image,
                                  .value = value + image,
                                  .rows = left < rows ? left : rows,
                                  .positions = positions,
                                  .channels = channels,
                                  .scores = scores,
                                  .y = y + image + first * channels};
      status = block_scores(&block, exec);
      exec_run(exec, block.rows, softmax_row, &block);
      if (status == VQCT_OK)
        status = block_mix(&block, exec);
    }
  arena_release(exec->arena, mark);
  return status;
}
