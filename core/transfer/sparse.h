/* The normalised adjacency matrix of the word graph, in compressed sparse rows. */
#ifndef TRANSFER_SPARSE_H
#define TRANSFER_SPARSE_H

#include "exec.h"
#include "prior.h"

/** A square matrix of `rows` rows. Row i holds the entries start[i] to start[i + 1] - 1, by column.
 * Read-only once it is made. */
struct sparse {
  size_t rows;
  size_t *start;    /* rows + 1 */
  uint32_t *column; /* one an entry */
  float *value;
};

/** S = Deg^-1/2 (A + I) Deg^-1/2 of an undirected graph, A the sum of the edges' weights (an edge
 * may repeat) and Deg the row sums of A + I, computed in double. A node without edges gets 1.
 * Errors: MODEL (an edge points outside the nodes or to its own node, or weighs 0), MEMORY; the
 * matrix is then empty. */
enum vqct_status sparse_from_graph(size_t nodes, const struct prior_edge *edges, size_t edge_count,
                                   struct sparse *matrix, struct vqct_error *error);

/** Frees it; an empty one is allowed. */
void sparse_free(struct sparse *matrix);

/** y = S x. x and y: rows,columns, not overlapping. Each row is summed by column, whatever the
 * team. */
void sparse_multiply(const struct sparse *matrix, const float *x, size_t columns, float *y,
                     const struct exec *exec);

#endif
