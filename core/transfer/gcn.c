/* S X, which never changes, is computed when the transfer is made, so that a step multiplies by
 * the graph once forward and once backward. Dropout and the leaky rectifier are one factor a
 * number, which the tape keeps for the way back. Tasks are blocks of rows, and the dropout of a
 * row depends on seed, step and row alone, so the team's size changes nothing. */
#include "gcn.h"

#include "rng.h"

#define TASK_ROWS ((size_t)32)

void gcn_dropout_row(uint64_t seed, uint64_t step, size_t row, float probability, size_t columns,
                     float *dropout) {
  struct rng rng;
  rng_seed(&rng, seed, step << 32 | row);
  float keep = 1 / (1 - probability);
  for (size_t c = 0; c < columns; c++)
    dropout[c] = rng_uniform(&rng) < probability ? 0 : keep;
}

struct activation_job {
  const struct gcn *gcn;
  bool training;
  uint64_t step;
  float *factor, *hidden; /* hidden: the sums before, H after */
};

static void activate_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct activation_job *job = argument;
  const struct gcn *gcn = job->gcn;
  size_t columns = gcn->outputs, end = (task + 1) * TASK_ROWS;
  for (size_t i = task * TASK_ROWS; i < end && i < gcn->rows; i++) {
    float *restrict factor = job->factor + i * columns, *restrict hidden =
                                                            job->hidden + i * columns;
    if (job->training && gcn->dropout > 0)
      gcn_dropout_row(gcn->seed, job->step, i, gcn->dropout, columns, factor);
    else
      for (size_t c = 0; c < columns; c++)
        factor[c] = 1;
    for (size_t c = 0; c < columns; c++) {
      factor[c] *= hidden[c] > 0 ? 1 : gcn->slope;
      hidden[c] *= factor[c];
    }
  }
}

static void scale_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct activation_job *job = argument;
  size_t columns = job->gcn->outputs, end = (task + 1) * TASK_ROWS;
  for (size_t i = task * TASK_ROWS; i < end && i < job->gcn->rows; i++)
    for (size_t c = 0; c < columns; c++)
      job->hidden[i * columns + c] *= job->factor[i * columns + c];
}

static size_t row_tasks(const struct gcn *gcn) {
  return (gcn->rows + TASK_ROWS - 1) / TASK_ROWS;
}

enum vqct_status gcn_forward(const struct gcn *gcn, const struct gcn_weights *weights,
                             bool training, uint64_t step, const struct gcn_tape *tape,
                             float *codes, const struct exec *exec) {
  struct linear first = {gcn->inputs, gcn->outputs, weights->weight1, weights->bias1};
  struct linear second = {gcn->outputs, gcn->outputs, weights->weight2, weights->bias2};
  float *hidden = gcn->graph ? tape->hidden : tape->mixed;
  enum vqct_status status = linear_forward(&first, gcn->input, gcn->rows, hidden, exec);
  if (status != VQCT_OK)
    return status;
  struct activation_job job = {gcn, training, step, tape->factor, hidden};
  pool_run(exec->pool, row_tasks(gcn), activate_rows, &job);
  if (gcn->graph)
    sparse_multiply(gcn->graph, hidden, gcn->outputs, tape->mixed, exec);
  return linear_forward(&second, tape->mixed, gcn->rows, codes, exec);
}

enum vqct_status gcn_backward(const struct gcn *gcn, const struct gcn_weights *weights,
                              const struct gcn_tape *tape, const float *dcodes,
                              const struct gcn_gradients *gradients, const struct exec *exec) {
  struct linear first = {gcn->inputs, gcn->outputs, weights->weight1, weights->bias1};
  struct linear second = {gcn->outputs, gcn->outputs, weights->weight2, weights->bias2};
  struct arena_mark mark = arena_mark(exec->arena);
  size_t count = gcn->rows * gcn->outputs;
  float *dmixed = arena_alloc(exec->arena, count * sizeof *dmixed);
  float *dhidden = gcn->graph ? arena_alloc(exec->arena, count * sizeof *dhidden) : dmixed;
  enum vqct_status status = VQCT_MEMORY;
  if (!dmixed || !dhidden)
    goto done;
  status = linear_backward(&second, tape->mixed, dcodes, gcn->rows, dmixed, gradients->weight2,
                           gradients->bias2, exec);
  if (status != VQCT_OK)
    goto done;
  if (gcn->graph) /* S is symmetric, so its transpose is S itself */
    sparse_multiply(gcn->graph, dmixed, gcn->outputs, dhidden, exec);
  struct activation_job job = {.gcn = gcn, .factor = tape->factor, .hidden = dhidden};
  pool_run(exec->pool, row_tasks(gcn), scale_rows, &job);
  status = linear_backward(&first, gcn->input, dhidden, gcn->rows, NULL, gradients->weight1,
                           gradients->bias1, exec);
done:
  arena_release(exec->arena, mark);
  return status;
}
