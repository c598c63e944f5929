#include "max_pool.h"

#include <string.h>

#define STRIDE 2

int max_pool_output_size(const struct max_pool *pool, int size) {
  if (size < pool->kernel)
    return pool->ceiling && size > 0 ? 1 : 0;
  int windows = (size - pool->kernel) / STRIDE + 1;
  bool rest = (size - pool->kernel) % STRIDE != 0;
  return windows + (pool->ceiling && rest && windows * STRIDE < size ? 1 : 0);
}

struct job {
  const struct max_pool *pool;
  const float *x, *dy;
  float *result;
  size_t out_height, out_width;
};

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
  const struct job *job = argument;
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
  struct job job = {.pool = pool, .x = x, .result = y};
  job.out_height = (size_t)max_pool_output_size(pool, pool->height);
  job.out_width = (size_t)max_pool_output_size(pool, pool->width);
  pool_run(exec->pool, (size_t)pool->images * job.out_height, forward_row, &job);
}

/* Gives one window's gradients to its largest numbers. */
static void window_backward(const struct window *w, size_t width, size_t channels, const float *x,
                            const float *dy, float *dx) {
  for (size_t c = 0; c < channels; c++) {
    size_t best = (w->top * width + w->left) * channels + c;
    for (size_t r = w->top; r < w->bottom; r++)
      for (size_t k = w->left; k < w->right; k++) {
        size_t at = (r * width + k) * channels + c;
        best = x[at] > x[best] ? at : best;
      }
    dx[best] += dy[c];
  }
}

/* Windows overlap, so a whole image is one task. */
static void backward_image(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct job *job = argument;
  size_t channels = (size_t)job->pool->channels, width = (size_t)job->pool->width;
  size_t size = (size_t)job->pool->height * width * channels;
  float *dx = job->result + task * size;
  memset(dx, 0, size * sizeof *dx);
  for (size_t row = 0; row < job->out_height; row++)
    for (size_t column = 0; column < job->out_width; column++) {
      struct window w = window_at(job->pool, row, column);
      window_backward(
          &w, width, channels, job->x + task * size,
          job->dy + ((task * job->out_height + row) * job->out_width + column) * channels, dx);
    }
}

void max_pool_backward(const struct max_pool *pool, const float *x, const float *dy, float *dx,
                       const struct exec *exec) {
  struct job job = {.pool = pool, .x = x, .dy = dy, .result = dx};
  job.out_height = (size_t)max_pool_output_size(pool, pool->height);
  job.out_width = (size_t)max_pool_output_size(pool, pool->width);
  pool_run(exec->pool, (size_t)pool->images, backward_image, &job);
}
