/* Three products. What is not a product is cut by rows forward (the bias is added) and by columns
 * backward (it is summed), so that no two tasks write the same number.
 */
#include "linear.h"

#include "gemm.h"

#define TASK_ROWS    ((size_t)64)
#define TASK_COLUMNS ((size_t)16) /* a cache line of floats */

struct rows_job {
  const float *bias;
  const float *dy;
  float *y, *dbias;
  size_t rows, columns;
};

static size_t tasks_for(size_t count, size_t each) {
  return (count + each - 1) / each;
}

static void add_bias(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct rows_job *job = argument;
  size_t end = (task + 1) * TASK_ROWS;
  for (size_t i = task * TASK_ROWS; i < end && i < job->rows; i++)
    for (size_t c = 0; c < job->columns; c++)
      job->y[i * job->columns + c] += job->bias[c];
}

static void sum_columns(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct rows_job *job = argument;
  size_t first = task * TASK_COLUMNS, count = job->columns - first;
  if (count > TASK_COLUMNS)
    count = TASK_COLUMNS;
  double sums[TASK_COLUMNS] = {0};
  for (size_t i = 0; i < job->rows; i++)
    for (size_t c = 0; c < count; c++)
      sums[c] += (double)job->dy[i * job->columns + first + c];
  for (size_t c = 0; c < count; c++)
    job->dbias[first + c] += (float)sums[c];
}

enum vqct_status linear_forward(const struct linear *layer, const float *x, size_t rows, float *y,
                                const struct exec *exec) {
  struct gemm product = {.rows = rows,
                         .columns = layer->outputs,
                         .depth = layer->inputs,
                         .a = {x, layer->inputs, false},
                         .b = {layer->weight, layer->inputs, true},
                         .scale = 1,
                         .c = y,
                         .c_stride = layer->outputs};
  enum vqct_status status = gemm_run(&product, exec);
  if (status != VQCT_OK || !layer->bias)
    return status;
  struct rows_job job = {.bias = layer->bias, .y = y, .rows = rows, .columns = layer->outputs};
  pool_run(exec->pool, tasks_for(rows, TASK_ROWS), add_bias, &job);
  return VQCT_OK;
}

enum vqct_status linear_backward(const struct linear *layer, const float *x, const float *dy,
                                 size_t rows, float *dx, float *dweight, float *dbias,
                                 const struct exec *exec) {
  struct gemm weight = {.rows = layer->outputs,
                        .columns = layer->inputs,
                        .depth = rows,
                        .a = {dy, layer->outputs, true},
                        .b = {x, layer->inputs, false},
                        .scale = 1,
                        .accumulate = true,
                        .c = dweight,
                        .c_stride = layer->inputs};
  struct gemm input = {.rows = rows,
                       .columns = layer->inputs,
                       .depth = layer->outputs,
                       .a = {dy, layer->outputs, false},
                       .b = {layer->weight, layer->inputs, false},
                       .scale = 1,
                       .c = dx,
                       .c_stride = layer->inputs};
  enum vqct_status status = gemm_run(&weight, exec);
  if (status != VQCT_OK)
    return status;
  if (dx && (status = gemm_run(&input, exec)) != VQCT_OK)
    return status;
  if (!dbias)
    return VQCT_OK;
  struct rows_job job = {.dy = dy, .dbias = dbias, .rows = rows, .columns = layer->outputs};
  pool_run(exec->pool, tasks_for(layer->outputs, TASK_COLUMNS), sum_columns, &job);
  return VQCT_OK;
}
