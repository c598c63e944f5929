/* The nearest codes of a codebook.
 *
 * Products in fp32 give every code a score that is off by no more than a bound; what the bound
 * leaves open is decided in double, in a fixed order of sums. So tokens depend on the vectors and
 * the codes alone: not on instruction sets, threads or how the products are cut.
 *
 * Shapes: N codes, T positions, d code dimension.
 */
#ifndef MODEL_CODE_SEARCH_H
#define MODEL_CODE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec.h"

#define CODES_CHOSEN_MAX 2

/** The codes that one group of channels chooses from. */
struct codebook {
  size_t channel;     /* the first of d channels of a vector */
  size_t plane;       /* the first of k planes */
  size_t k;           /* codes chosen for a position, at most CODES_CHOSEN_MAX */
  uint32_t first;     /* row among all codes */
  uint32_t count;     /* rows */
  const float *codes; /* count,d */
  float *squares;     /* count: |code|^2; 0 where the dot product decides */
  double largest;     /* the greatest |code| */
};

/** Takes other codes (count,d), which stay the caller's, and computes squares and largest. `dot`:
 * the greatest dot product decides, not the distance. */
void codebook_load(struct codebook *codebook, size_t dimension, bool dot, const float *codes);

/** |vector|^2 */
double vector_square(const float *vector, size_t dimension);

struct code_search {
  const struct codebook *codebook;
  size_t dimension; /* d */
  bool dot;
  const float *vectors; /* T of d finite numbers, the next `stride` numbers on */
  size_t stride, positions;
  uint32_t *tokens; /* k,T: rows among all codes, nearest first, ties by the lower row */
};

/** Writes the tokens. Errors: MEMORY (scratch). */
enum vqct_status code_search_run(const struct code_search *search, const struct exec *exec);

#endif
