/* Scores of a block of codes for a panel of positions: |e|^2 - 2 z e from the products z e.
 * Doubling is exact, so a score is rounded once, with or without fused multiply-adds: all
 * instruction sets give the same. */
#include "vector.h"

#include <math.h>

#define GROUP ((size_t)8) /* rows that are looked at together */

ALWAYS_INLINE vector score(const struct scores *s, size_t row, size_t v) {
  return minus_product(broadcast(2), load(s->products + (row * 2 + v) * LANES),
                       broadcast(s->squares[row]));
}

void SIMD_NAME(least_scores)(const struct scores *s, float *first, float *second) {
  vector least[2] = {broadcast(INFINITY), broadcast(INFINITY)}, next[2] = {least[0], least[1]};
  for (size_t row = 0; row < s->rows; row++)
    UNROLL for (size_t v = 0; v < 2; v++) {
      vector value = score(s, row, v);
      next[v] = lesser(greater(least[v], value), next[v]);
      least[v] = lesser(value, least[v]);
    }
  for (size_t v = 0; v < 2; v++) {
    store(first + v * LANES, least[v]);
    store(second + v * LANES, next[v]);
  }
}

/* Whether all scores of some rows are above their limits. One of NaN may be passed over, which is
 * chosen only where limits are infinite. */
ALWAYS_INLINE bool above(const struct scores *s, size_t row, const size_t rows,
                         const float *limits) {
  vector least[2] = {score(s, row, 0), score(s, row, 1)};
  UNROLL for (size_t i = 1; i < rows; i++) {
    UNROLL for (size_t v = 0; v < 2; v++) {
      least[v] = lesser(score(s, row + i, v), least[v]);
    }
  }
  return all_of((least[0] > load(limits)) & (least[1] > load(limits + LANES)));
}

size_t SIMD_NAME(next_score)(const struct scores *s, const float *limits, size_t from) {
  size_t row = from;
  while (row + GROUP <= s->rows && above(s, row, GROUP, limits))
    row += GROUP;
  while (row < s->rows && above(s, row, 1, limits))
    row++;
  return row;
}
