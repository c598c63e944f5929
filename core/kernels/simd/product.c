/* The inner product of matrices: a block of up to ROWS rows and one panel stays in registers while
 * it runs along the depth, and is stored when all of it is read. Every block size runs the same
 * chain of multiply-adds for an element, so that results do not depend on how rows are grouped. */
#include "vector.h"

/* Rows of A are reached from an address for every four of them: one for each would not fit the
 * registers, and the compiler is told to keep these (it would else compute the others from one). */
#define ROW_GROUPS ((ROWS + 3) / 4)

ALWAYS_INLINE void find_groups(const float *first, const size_t rows, size_t row,
                               const float *group[ROW_GROUPS]) {
  UNROLL for (size_t i = 0; i < ROW_GROUPS; i++) {
    group[i] = i * 4 < rows ? first + i * 4 * row : first;
  }
}

ALWAYS_INLINE void move_groups(const size_t rows, size_t step, const float *group[ROW_GROUPS]) {
  UNROLL for (size_t i = 0; i < ROW_GROUPS; i++) {
    if (i * 4 < rows) {
      group[i] += step;
      __asm__("" : "+r"(group[i]));
    }
  }
}

ALWAYS_INLINE void block(const size_t rows, const size_t vectors, const bool by_row,
                         const struct product *p, const float *a, float *c) {
  vector sum[ROWS][2];
  const size_t a_row = by_row ? p->a_row : 1, a_step = by_row ? 1 : p->a_step;
  const size_t third = 3 * a_row, b_row = p->b_row, depth = p->depth;
  UNROLL for (size_t i = 0; i < rows; i++) {
    UNROLL for (size_t v = 0; v < vectors; v++) {
      sum[i][v] = p->accumulate ? load(c + i * p->c_row + v * LANES) : (vector){0};
    }
  }
  for (size_t run = 0; run < p->runs; run++) {
    const float *group[ROW_GROUPS], *b = p->b + run * p->b_run;
    find_groups(a + run * p->a_run, rows, a_row, group);
    for (size_t k = 0; k < depth; k++, b += b_row) {
      vector right[2];
      UNROLL for (size_t v = 0; v < vectors; v++) {
        right[v] = load(b + v * LANES);
      }
      UNROLL for (size_t i = 0; i < rows; i++) {
        const float left = group[i / 4][i % 4 == 3 ? third : i % 4 * a_row];
        UNROLL for (size_t v = 0; v < vectors; v++) {
          sum[i][v] = multiply_add(broadcast(left), right[v], sum[i][v]);
        }
      }
      move_groups(rows, a_step, group);
    }
  }
  UNROLL for (size_t i = 0; i < rows; i++) {
    UNROLL for (size_t v = 0; v < vectors; v++) {
      store(c + i * p->c_row + v * LANES, sum[i][v]);
    }
  }
}

#define BLOCK_CASE(number)                                                                         \
  case number:                                                                                     \
    block(number, vectors, by_row, p, a, c);                                                       \
    break;

ALWAYS_INLINE void block_of(size_t rows, const size_t vectors, const bool by_row,
                            const struct product *p, const float *a, float *c) {
  switch (rows) {
    BLOCK_CASE(1)
    BLOCK_CASE(2)
    BLOCK_CASE(3)
    BLOCK_CASE(4)
#if ROWS >= 6
    BLOCK_CASE(5)
    BLOCK_CASE(6)
#endif
#if ROWS >= 12
    BLOCK_CASE(7)
    BLOCK_CASE(8)
    BLOCK_CASE(9)
    BLOCK_CASE(10)
    BLOCK_CASE(11)
    BLOCK_CASE(12)
#endif
#if ROWS >= 14
    BLOCK_CASE(13)
    BLOCK_CASE(14)
#endif
  default:
    break;
  }
}

/* Blocks of nearly equal size: 16 rows go as 8 and 8 rather than 14 and 2. */
ALWAYS_INLINE void all_blocks(const size_t vectors, const bool by_row, const struct product *p) {
  size_t blocks = (p->rows + ROWS - 1) / ROWS;
  size_t rows = blocks ? p->rows / blocks : 0, longer = p->rows - rows * blocks;
  const float *a = p->a;
  float *c = p->c;
  for (; blocks; blocks--) {
    if (blocks == longer) {
      rows++;
      longer = 0;
    }
    block_of(rows, vectors, by_row, p, a, c);
    a += rows * p->a_row;
    c += rows * p->c_row;
  }
}

static void by_row_one(const struct product *p) {
  all_blocks(1, true, p);
}

static void by_row_two(const struct product *p) {
  all_blocks(2, true, p);
}

static void by_column_one(const struct product *p) {
  all_blocks(1, false, p);
}

static void by_column_two(const struct product *p) {
  all_blocks(2, false, p);
}

void SIMD_NAME(product)(const struct product *p) {
  if (p->a_step == 1)
    (p->vectors == 1 ? by_row_one : by_row_two)(p);
  else
    (p->vectors == 1 ? by_column_one : by_column_two)(p);
}
