/* Scores of a block of codes for a panel of positions: |e|^2 - 2 z e from the products z e.
 * Doubling is exact, so a score is rounded once, with or without fused multiply-adds: all
 * instruction sets give the same. */
#include "vector.h"

#include <math.h>

#define GROUP ((size_t)4) /* rows that are looked at together */

ALWAYS_INLINE vector score(const struct scores *s, size_t row, size_t v) {
  return s->squares[row] - 2.0F * load(s->products + (row * 2 + v) * LANES);
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

/* Whether all scores of a row are above their limits. */
ALWAYS_INLINE vector_bits above(const struct scores *s, size_t row, const float *limits) {
  return (score(s, row, 0) > load(limits)) & (score(s, row, 1) > load(limits + LANES));
}

ALWAYS_INLINE bool all(vector_bits bits) {
  int both = -1;
  for (size_t i = 0; i < LANES; i++)
    both &= bits[i];
  return both;
}

size_t SIMD_NAME(next_score)(const struct scores *s, const float *limits, size_t from) {
  size_t row = from;
  for (; row + GROUP <= s->rows; row += GROUP) {
    vector_bits bits = above(s, row, limits);
    UNROLL for (size_t i = 1; i < GROUP; i++) {
      bits &= above(s, row + i, limits);
    }
    if (!all(bits))
      break;
  }
  while (row < s->rows && all(above(s, row, limits)))
    row++;
  return row;
}
