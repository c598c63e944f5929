#include "space_to_depth.h"

#define SQUARE 4 /* pixels of a 2 x 2 square */

/* One way or the other between pixels and squares. */
struct rearrangement {
  const float *from;
  float *to;
  size_t columns, channels; /* of the squares, and of the pixels */
};

/* Where channel 0 of the pixel in row i, column 0 of the first square of a row of squares stands.
 */
static size_t row_start(const struct rearrangement *r, size_t task, size_t i) {
  return (2 * task + i) * 2 * r->columns * r->channels;
}

/* One row of squares, two of pixels. */
static void gather_row(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct rearrangement *r = argument;
  float *to = r->to + task * r->columns * SQUARE * r->channels;
  for (size_t i = 0; i < 2; i++) {
    const float *from = r->from + row_start(r, task, i);
    for (size_t column = 0; column < 2 * r->columns; column++)
      for (size_t c = 0; c < r->channels; c++)
        to[(column / 2 * r->channels + c) * SQUARE + 2 * i + column % 2] =
            from[column * r->channels + c];
  }
}

static void scatter_row(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct rearrangement *r = argument;
  const float *from = r->from + task * r->columns * SQUARE * r->channels;
  for (size_t i = 0; i < 2; i++) {
    float *to = r->to + row_start(r, task, i);
    for (size_t column = 0; column < 2 * r->columns; column++)
      for (size_t c = 0; c < r->channels; c++)
        to[column * r->channels + c] =
            from[(column / 2 * r->channels + c) * SQUARE + 2 * i + column % 2];
  }
}

static void rearrange(const struct activation *pixels, const float *from, float *to,
                      void (*row)(void *argument, size_t task, unsigned worker),
                      const struct exec *exec) {
  struct rearrangement r = {from, to, (size_t)pixels->width / 2, (size_t)pixels->channels};
  pool_run(exec->pool, (size_t)pixels->images * ((size_t)pixels->height / 2), row, &r);
}

void space_to_depth(const struct activation *pixels, const float *from, float *to,
                    const struct exec *exec) {
  rearrange(pixels, from, to, gather_row, exec);
}

void depth_to_space(const struct activation *pixels, const float *from, float *to,
                    const struct exec *exec) {
  rearrange(pixels, from, to, scatter_row, exec);
}
