/* Two-dimensional transforms out of one-dimensional steps. Channels run along the vectors. Steps
 * follow one another in a loop that stays one: unrolled, each of up to 81 points has an address
 * that is computed and kept in memory, which takes longer than the transform. */
#ifndef KERNELS_TRANSFORM_H
#define KERNELS_TRANSFORM_H

#include "vector.h"

#define SIDE_MAX 9 /* numbers that a step reads or writes */

/* A one-dimensional step, which the compiler puts in place of the call. */
typedef void step(const vector *from, vector *to);

/* A matrix of numbers, one in each lane: where it begins, and the floats between its rows and
 * between its columns. */
struct matrix {
  float *data;
  size_t row, column;
};

/* Applies a step to all columns of a square matrix: column j of the result is half[.][j]. */
ALWAYS_INLINE void transform_columns(step *apply, const size_t from_side, const size_t to_side,
                                     const float *from, size_t row, size_t column,
                                     vector half[SIDE_MAX][SIDE_MAX]) {
  ROLLED for (size_t j = 0; j < from_side; j++) {
    vector line[SIDE_MAX], result[SIDE_MAX];
    UNROLL for (size_t i = 0; i < from_side; i++) {
      line[i] = load(from + i * row + j * column);
    }
    apply(line, result);
    UNROLL for (size_t i = 0; i < to_side; i++) {
      half[i][j] = result[i];
    }
  }
}

/* Applies a step to all columns of a square matrix and then to all rows of the result. */
ALWAYS_INLINE void transform(step *apply, const size_t from_side, const size_t to_side,
                             const float *from, size_t row, size_t column, struct matrix to) {
  vector half[SIDE_MAX][SIDE_MAX];
  transform_columns(apply, from_side, to_side, from, row, column, half);
  ROLLED for (size_t i = 0; i < to_side; i++) {
    vector result[SIDE_MAX];
    apply(half[i], result);
    UNROLL for (size_t j = 0; j < to_side; j++) {
      store(to.data + i * to.row + j * to.column, result[j]);
    }
  }
}

#endif
