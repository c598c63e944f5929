/* The inner product of matrices: a block of up to ROWS rows and one panel stays in registers while
 * it runs along the depth, and is stored when all of it is read. Every block size runs the same
 * chain of multiply-adds for an element, so that results do not depend on how rows are grouped. */
#include "vector.h"

/* Bytes from the first row of A to odd-numbered ones. An address of x86 adds 1, 2, 4 or 8 times a
 * register to another, so that all rows are reached from one that moves along the depth: one for
 * each row would not fit the registers, of which others have more. */
#define ODD_ROWS (ROWS / 2)

/* Tells the compiler that it cannot compute other numbers from these once for all steps. */
ALWAYS_INLINE void hold_rows(const size_t rows, size_t odd[ODD_ROWS]) {
#if defined(__x86_64__)
  UNROLL for (size_t i = 0; 2 * i + 1 < rows; i++) {
    __asm__("" : "+r"(odd[i]));
  }
#else
  (void)rows;
  (void)odd;
#endif
}

/* Number i of a step, rows apart as found. */
ALWAYS_INLINE float row_number(const float *a, const size_t odd[ODD_ROWS], const size_t i) {
  if (i == 0)
    return *a;
  const int shift = __builtin_ctzll(i);
  return *(const float *)((const char *)a + (odd[i >> (shift + 1)] << shift));
}

ALWAYS_INLINE void block(const size_t rows, const size_t vectors, const bool by_row,
                         const struct product *p, const size_t apart[ODD_ROWS], const float *first,
                         float *c) {
  vector sum[ROWS][2];
  const size_t a_step = by_row ? 1 : p->a_step, b_row = p->b_row;
  size_t odd[ODD_ROWS];
  memcpy(odd, apart, sizeof odd);
  UNROLL for (size_t i = 0; i < rows; i++) {
    UNROLL for (size_t v = 0; v < vectors; v++) {
      sum[i][v] = p->accumulate ? load(c + i * p->c_row + v * LANES) : (vector){0};
    }
  }
  for (size_t run = 0; run < p->runs; run++) {
    const float *a = first + run * p->a_run, *b = p->b + run * p->b_run;
    for (const float *end = b + p->depth * b_row; b != end; b += b_row) {
      vector right[2];
      UNROLL for (size_t v = 0; v < vectors; v++) {
        right[v] = load(b + v * LANES);
      }
      UNROLL for (size_t i = 0; i < rows; i++) {
        const float left = by_row ? row_number(a, odd, i) : a[i];
        UNROLL for (size_t v = 0; v < vectors; v++) {
          sum[i][v] = multiply_add(broadcast(left), right[v], sum[i][v]);
        }
      }
      a += a_step;
      if (by_row)
        hold_rows(rows, odd);
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
    block(number, vectors, by_row, p, odd, a, c);                                                  \
    break;

ALWAYS_INLINE void block_of(size_t rows, const size_t vectors, const bool by_row,
                            const struct product *p, const size_t odd[ODD_ROWS], const float *a,
                            float *c) {
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
  size_t odd[ODD_ROWS];
  UNROLL for (size_t i = 0; i < ODD_ROWS; i++) {
    odd[i] = (2 * i + 1) * p->a_row * sizeof(float);
  }
  for (; blocks; blocks--) {
    if (blocks == longer) {
      rows++;
      longer = 0;
    }
    block_of(rows, vectors, by_row, p, odd, a, c);
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
