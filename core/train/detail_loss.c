#include "detail_loss.h"

#include <math.h>

#include "blocks.h"

#define SIDE  8 /* pixels of a window */
#define FLOOR (4.0 / (255 * 255))

struct detail_job {
  const struct activation *x, *y;
  int rows;   /* of windows, of a picture */
  float each; /* gradient of a window's deviation */
  float *dy;
  double *sums; /* one a row of windows */
};

/* Of one picture, its upper left corner at an offset in floats. */
struct window {
  size_t corner;
  int height, width;
};

static int smaller(int a, int b) {
  return a < b ? a : b;
}

/* Differences with the neighbour `step` floats on, of `rows` x `numbers` numbers of the window. */
static double squares(const float *data, size_t line, int rows, int numbers, size_t step) {
  double sum = 0;
  for (int i = 0; i < rows; i++, data += line)
    for (int k = 0; k < numbers; k++) {
      float difference = data[(size_t)k + step] - data[k];
      sum += (double)(difference * difference);
    }
  return sum;
}

static void add_gradient(const float *data, float *gradient, size_t line, int rows, int numbers,
                         size_t step, float each) {
  for (int i = 0; i < rows; i++, data += line, gradient += line)
    for (int k = 0; k < numbers; k++) {
      float part = each * (data[(size_t)k + step] - data[k]);
      gradient[(size_t)k + step] += part;
      gradient[k] -= part;
    }
}

static int differences(const struct window *w, int channels) {
  return channels * (w->height * (w->width - 1) + w->width * (w->height - 1));
}

static double deviation(const struct activation *a, const struct window *w) {
  size_t line = (size_t)a->width * (size_t)a->channels;
  const float *data = a->data + w->corner;
  double sum = squares(data, line, w->height, (w->width - 1) * a->channels, (size_t)a->channels) +
               squares(data, line, w->height - 1, w->width * a->channels, line);
  return sqrt(sum / differences(w, a->channels) + FLOOR);
}

static double window_loss(const struct detail_job *job, const struct window *w) {
  const struct activation *y = job->y;
  int count = differences(w, y->channels);
  if (count == 0) /* a single pixel */
    return 0;
  double made = deviation(y, w), beyond = made - deviation(job->x, w);
  float sign = beyond > 0 ? 1.0F : beyond < 0 ? -1.0F : 0;
  float each = sign * job->each / (float)(count * made);
  size_t line = (size_t)y->width * (size_t)y->channels;
  const float *data = y->data + w->corner;
  float *dy = job->dy + w->corner;
  add_gradient(data, dy, line, w->height, (w->width - 1) * y->channels, (size_t)y->channels, each);
  add_gradient(data, dy, line, w->height - 1, w->width * y->channels, line, each);
  return fabs(beyond);
}

static void windows_row(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct detail_job *job = argument;
  const struct activation *y = job->y;
  size_t image = task / (size_t)job->rows, row = task % (size_t)job->rows;
  int top = (int)row * SIDE;
  double sum = 0;
  for (int left = 0; left < y->width; left += SIDE) {
    size_t pixel = (size_t)top * (size_t)y->width + (size_t)left;
    const struct window window = {
        image * activation_image_size(y) + pixel * (size_t)y->channels,
        smaller(SIDE, y->height - top),
        smaller(SIDE, y->width - left),
    };
    sum += window_loss(job, &window);
  }
  job->sums[task] = sum;
}

enum vqct_status detail_loss(const struct activation *x, const struct activation *y, float scale,
                             double *loss, float *dy, const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  int rows = (y->height + SIDE - 1) / SIDE, columns = (y->width + SIDE - 1) / SIDE;
  size_t tasks = (size_t)y->images * (size_t)rows;
  double windows = (double)tasks * columns, sum = 0;
  struct detail_job job = {x, y, rows, (float)((double)scale / windows), dy, NULL};
  if (!(job.sums = arena_alloc(exec->arena, tasks * sizeof *job.sums)))
    return VQCT_MEMORY;
  pool_run(exec->pool, tasks, windows_row, &job);
  for (size_t i = 0; i < tasks; i++)
    sum += job.sums[i];
  *loss = sum / windows;
  arena_release(exec->arena, mark);
  return VQCT_OK;
}
