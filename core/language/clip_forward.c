/* Texts of different lengths lie packed, one row a token, so that the linear layers run as one
 * product over all of them and nothing is spent on padding. Attention is causal and stays within a
 * text; what stands behind the end token can never reach it, so it is not computed at all. */
#include <math.h>
#include <string.h>

#include "clip_network.h"

#define TASK_ROWS ((size_t)16)

struct clip_pass {
  const struct clip *clip;
  const struct clip_norm *norm;
  const size_t *start;
  size_t rows;
  float *x;                           /* rows,W: the residual stream */
  float *normed;                      /* rows,W: a normalised x, or what attention gives */
  float *query, *key, *value, *added; /* rows,W */
  float *hidden;                      /* rows,hidden */
};

static void norm_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct clip_pass *pass = argument;
  size_t width = pass->clip->width, end = (task + 1) * TASK_ROWS;
  for (size_t i = task * TASK_ROWS; i < end && i < pass->rows; i++) {
    const float *x = pass->x + i * width;
    float *y = pass->normed + i * width;
    double sum = 0, squares = 0;
    for (size_t c = 0; c < width; c++)
      sum += (double)x[c];
    double mean = sum / (double)width;
    for (size_t c = 0; c < width; c++)
      squares += ((double)x[c] - mean) * ((double)x[c] - mean);
    double scale = 1 / sqrt(squares / (double)width + (double)pass->clip->epsilon);
    for (size_t c = 0; c < width; c++)
      y[c] = (float)(((double)x[c] - mean) * scale) * pass->norm->scale[c] + pass->norm->shift[c];
  }
}

static void add_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct clip_pass *pass = argument;
  size_t width = pass->clip->width;
  size_t end = (task + 1) * TASK_ROWS < pass->rows ? (task + 1) * TASK_ROWS : pass->rows;
  for (size_t i = task * TASK_ROWS * width; i < end * width; i++)
    pass->x[i] += pass->added[i];
}

static void activate_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct clip_pass *pass = argument;
  size_t width = pass->clip->hidden;
  size_t end = (task + 1) * TASK_ROWS < pass->rows ? (task + 1) * TASK_ROWS : pass->rows;
  for (size_t i = task * TASK_ROWS * width; i < end * width; i++) {
    float x = pass->hidden[i];
    if (pass->clip->activation == CLIP_QUICK_GELU)
      pass->hidden[i] = x / (1 + expf(-1.702F * x));
    else
      pass->hidden[i] = 0.5F * x * (1 + erff(x * 0.70710678F));
  }
}

/* One head of one text: softmax(q k^T / sqrt(size)) v over the positions up to each query. */
static void attend(const struct clip_pass *pass, size_t first, size_t count, size_t head) {
  size_t width = pass->clip->width, size = width / pass->clip->heads, at = head * size;
  float scale = 1 / sqrtf((float)size), weight[CLIP_POSITIONS_MAX];
  for (size_t t = 0; t < count; t++) {
    const float *query = pass->query + (first + t) * width + at;
    float largest = -INFINITY, sum = 0;
    for (size_t s = 0; s <= t; s++) {
      const float *key = pass->key + (first + s) * width + at;
      float product = 0;
      for (size_t c = 0; c < size; c++)
        product += query[c] * key[c];
      weight[s] = product * scale;
      largest = weight[s] > largest ? weight[s] : largest;
    }
    for (size_t s = 0; s <= t; s++) {
      weight[s] = expf(weight[s] - largest);
      sum += weight[s];
    }
    float *result = pass->normed + (first + t) * width + at;
    memset(result, 0, size * sizeof *result);
    for (size_t s = 0; s <= t; s++) {
      const float *value = pass->value + (first + s) * width + at;
      float share = weight[s] / sum;
      for (size_t c = 0; c < size; c++)
        result[c] += share * value[c];
    }
  }
}

static void attend_text(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct clip_pass *pass = argument;
  size_t heads = pass->clip->heads, text = task / heads;
  attend(pass, pass->start[text], pass->start[text + 1] - pass->start[text], task % heads);
}

static void run_rows(struct clip_pass *pass, pool_task *task, const struct exec *exec) {
  pool_run(exec->pool, (pass->rows + TASK_ROWS - 1) / TASK_ROWS, task, pass);
}

/* x += attention(norm1(x)); x += fc2(activation(fc1(norm2(x)))) */
static enum vqct_status run_layer(struct clip_pass *pass, const struct clip_layer *layer,
                                  size_t texts, const struct exec *exec) {
  pass->norm = &layer->norm1;
  run_rows(pass, norm_rows, exec);
  enum vqct_status status;
  if ((status = linear_forward(&layer->query, pass->normed, pass->rows, pass->query, exec)) ||
      (status = linear_forward(&layer->key, pass->normed, pass->rows, pass->key, exec)) ||
      (status = linear_forward(&layer->value, pass->normed, pass->rows, pass->value, exec)))
    return status;
  pool_run(exec->pool, texts * pass->clip->heads, attend_text, pass);
  if ((status = linear_forward(&layer->out, pass->normed, pass->rows, pass->added, exec)))
    return status;
  run_rows(pass, add_rows, exec);
  pass->norm = &layer->norm2;
  run_rows(pass, norm_rows, exec);
  if ((status = linear_forward(&layer->fc1, pass->normed, pass->rows, pass->hidden, exec)))
    return status;
  run_rows(pass, activate_rows, exec);
  if ((status = linear_forward(&layer->fc2, pass->hidden, pass->rows, pass->added, exec)))
    return status;
  run_rows(pass, add_rows, exec);
  return VQCT_OK;
}

static void look_up(const struct clip *clip, const uint32_t *tokens, const size_t *start,
                    size_t texts, float *x) {
  size_t width = clip->width;
  for (size_t i = 0; i < texts; i++)
    for (size_t row = start[i]; row < start[i + 1]; row++)
      for (size_t c = 0; c < width; c++)
        x[row * width + c] = clip->token_embedding[tokens[row] * width + c] +
                             clip->position_embedding[(row - start[i]) * width + c];
}

enum vqct_status clip_forward(const struct clip *clip, const uint32_t *tokens, const size_t *start,
                              size_t texts, float *features, const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t rows = start[texts], width = clip->width;
  enum vqct_status status = VQCT_MEMORY;
  float *block = arena_alloc(exec->arena, rows * width * 6 * sizeof *block);
  float *hidden = arena_alloc(exec->arena, rows * clip->hidden * sizeof *hidden);
  if (!block || !hidden)
    goto done;
  struct clip_pass pass = {
      .clip = clip, .start = start, .rows = rows, .x = block, .hidden = hidden};
  pass.normed = block + rows * width;
  pass.query = block + rows * width * 2;
  pass.key = block + rows * width * 3;
  pass.value = block + rows * width * 4;
  pass.added = block + rows * width * 5;
  look_up(clip, tokens, start, texts, pass.x);
  for (size_t i = 0; i < clip->layers; i++)
    if ((status = run_layer(&pass, &clip->layer[i], texts, exec)) != VQCT_OK)
      goto done;
  pass.norm = &clip->final_norm;
  run_rows(&pass, norm_rows, exec);
  for (size_t i = 0; i < texts; i++) /* the end token is each text's last */
    memcpy(pass.query + i * width, pass.normed + (start[i + 1] - 1) * width, width * sizeof(float));
  status = linear_forward(&clip->projection, pass.query, texts, features, exec);
done:
  arena_release(exec->arena, mark);
  return status;
}
