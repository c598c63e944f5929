/* Memory that is needed soon, asked for while products leave time to fetch it. */
#ifndef KERNELS_AHEAD_H
#define KERNELS_AHEAD_H

#include "filter_job.h"
#include "size.h"

#define CACHE_LINE 16 /* floats */

/** A rectangle of places of some cache lines, and how far it has been asked for. */
struct ahead {
  const float *at;               /* the next place */
  size_t left, column;           /* places that are left; the next one's in its row */
  size_t columns, step, to_next; /* places of a row; floats between them, and behind the last */
  size_t lines;                  /* of a place */
};

/** Of so many rows and columns of places, `step` and `row_stride` floats apart. */
static inline struct ahead ahead_of(const float *first, size_t rows, size_t columns, size_t step,
                                    size_t row_stride, size_t lines) {
  return (struct ahead){.at = first,
                        .left = rows * columns,
                        .columns = columns,
                        .step = step,
                        .to_next = row_stride - columns * step,
                        .lines = lines};
}

/** Rows of neighbouring floats. */
static inline struct ahead ahead_of_rows(const float *first, size_t rows, size_t row_floats,
                                         size_t row_stride) {
  return ahead_of(first, rows, row_floats / (2 * CACHE_LINE), 2 * CACHE_LINE, row_stride, 2);
}

/** So many channels of what an epilogue writes. */
static inline struct ahead ahead_of_output(const struct epilogue *e, size_t channels) {
  return ahead_of(e->y, e->rows, e->columns, e->pixel_stride, e->row_stride,
                  (channels + CACHE_LINE - 1) / CACHE_LINE);
}

/** Asks for some places more, to write them or to read. */
static inline __attribute__((always_inline)) void ahead_ask(struct ahead *ahead, size_t places,
                                                            const int write) {
  places = size_least(places, ahead->left);
  ahead->left -= places;
  while (places) {
    size_t run = size_least(places, ahead->columns - ahead->column);
    places -= run;
    ahead->column += run;
    for (; run; run--, ahead->at += ahead->step)
      for (size_t i = 0; i < ahead->lines; i++)
        __builtin_prefetch(ahead->at + i * CACHE_LINE, write, 2);
    if (ahead->column == ahead->columns) {
      ahead->column = 0;
      ahead->at += ahead->to_next;
    }
  }
}

#endif
