/* Forward a task is a row of the output. Backward windows overlap, so a task is a slice of the
 * channels of a whole image; a window's gradient goes to the first of its largest numbers, as in
 * PyTorch, which is found again rather than kept.
 */
#include "max_pool.h"

#include <string.h>

#include "size.h"

#define STRIDE 2
#define SLICE  ((size_t)64) /* channels of one task of the backward pass */

int max_pool_output_size(const struct max_pool *pool, int size) {
  if (size < pool->kernel)
    return pool->ceiling && size > 0 ? 1 : 0;
  int windows = (size - pool->kernel) / STRIDE + 1;
  bool rest = (size - pool->kernel) % STRIDE != 0;
  return windows + (pool->ceiling && rest && windows * STRIDE < size ? 1 : 0);
}

struct max_pool_job {
  const struct max_pool *pool;
  const float *x, *dy;
  float *result;
  size_t out_height, out_width;
};

static size_t slices_of(const struct max_pool *pool) {
  return ((size_t)pool->channels + SLICE - 1) / SLICE;
}

struct window {
  size_t top, bottom, left, right; /* bottom and right lie outside */
};

static struct window window_at(const struct max_pool *pool, size_t row, size_t column) {
  size_t kernel = (size_t)pool->kernel, height = (size_t)pool->height, width = (size_t)pool->width;
  struct window w = {row * STRIDE, row * STRIDE + kernel, column * STRIDE,
                     column * STRIDE + kernel};
  w.bottom = w.bottom < height ? w.bottom : height;
  w.right = w.right < width ? w.right : width;
  return w;
}

static void forward_row(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct max_pool_job *job = argument;
  size_t channels = (size_t)job->pool->channels, width = (size_t)job->pool->width;
  const float *image =
      job->x + task / job->out_height * (size_t)job->pool->height * width * channels;
  for (size_t column = 0; column < job->out_width; column++) {
    struct window w = window_at(job->pool, task % job->out_height, column);
    float *restrict y = job->result + (task * job->out_width + column) * channels;
    memcpy(y, image + (w.top * width + w.left) * channels, channels * sizeof *y);
    for (size_t r = w.top; r < w.bottom; r++)
      for (size_t k = w.left; k < w.right; k++) {
        const float *restrict x = image + (r * width + k) * channels;
        for (size_t c = 0; c < channels; c++)
          y[c] = x[c] > y[c] ? x[c] : y[c];
      }
  }
}

void max_pool_forward(const struct max_pool *pool, const float *x, float *y,
                      const struct exec *exec) {
  struct max_pool_job job = {.pool = pool, .x = x, .result = y};
  job.out_height = (size_t)max_pool_output_size(pool, pool->height);
  job.out_width = (size_t)max_pool_output_size(pool, pool->width);
  pool_run(exec->pool, (size_t)pool->images * job.out_height, forward_row, &job);
}

/* Gives one window's gradients to the first of its largest numbers, for up to SLICE channels. */
static void window_backward(const struct window *w, size_t line, size_t stride, size_t channels,
                            const float *restrict x, const float *restrict dy, float *restrict dx) {
  float most[SLICE], left[SLICE]; /* left: gradients that have not found their number yet */
  size_t first = w->top * line + w->left * stride;
  memcpy(most, x + first, channels * sizeof *most);
  memcpy(left, dy, channels * sizeof *left);
  for (size_t r = w->top; r < w->bottom; r++)
    for (size_t k = w->left; k < w->right; k++)
      for (size_t c = 0, at = r * line + k * stride; c < channels; c++)
        most[c] = x[at + c] > most[c] ? x[at + c] : most[c];
  for (size_t r = w->top; r < w->bottom; r++)
    for (size_t k = w->left; k < w->right; k++)
      for (size_t c = 0, at = r * line + k * stride; c < channels; c++) {
        bool found = x[at + c] == most[c];
        dx[at + c] += found ? left[c] : 0;
        left[c] = found ? 0 : left[c];
      }
}

/* Windows overlap, so some channels of a whole image are one task. */
static void backward_slice(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct max_pool_job *job = argument;
  size_t channels = (size_t)job->pool->channels, slices = slices_of(job->pool);
  size_t first = task % slices * SLICE, image = task / slices;
  size_t count = size_least(channels - first, SLICE), line = (size_t)job->pool->width * channels;
  size_t positions = (size_t)job->pool->height * (size_t)job->pool->width;
  const float *x = job->x + image * positions * channels + first;
  const float *dy = job->dy + image * job->out_height * job->out_width * channels + first;
  float *dx = job->result + image * positions * channels + first;
  for (size_t p = 0; p < positions; p++)
    memset(dx + p * channels, 0, count * sizeof *dx);
  for (size_t row = 0; row < job->out_height; row++)
    for (size_t column = 0; column < job->out_width; column++, dy += channels) {
      struct window w = window_at(job->pool, row, column);
      window_backward(&w, line, channels, count, x, dy, dx);
    }
}

void max_pool_backward(const struct max_pool *pool, const float *x, const float *dy, float *dx,
                       const struct exec *exec) {
  struct max_pool_job job = {.pool = pool, .x = x, .dy = dy, .result = dx};
  job.out_height = (size_t)max_pool_output_size(pool, pool->height);
  job.out_width = (size_t)max_pool_output_size(pool, pool->width);
  pool_run(exec->pool, (size_t)pool->images * slices_of(pool), backward_slice, &job);
}
