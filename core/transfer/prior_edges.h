/* Lists of edges between rows of a prior. */
#ifndef TRANSFER_PRIOR_EDGES_H
#define TRANSFER_PRIOR_EDGES_H

#include "prior.h"

/** Brings edges into the order that a prior has: the lower row first, no row with itself (the graph
 * convolution gives every row its own loop of weight 1), by first, then second row, the weights of
 * equal ones added up. Returns how many are left. */
size_t prior_edges_merge(struct prior_edge *edges, size_t count);

/** The edges as the released VQCT finds them, whose index of rows has every word once: all edges of
 * a word that is adjective and noun are the noun's. A prior that already says so stays the same.
 * *edges comes from malloc. Errors: MEMORY. */
enum vqct_status prior_edges_released(const struct prior *prior, struct prior_edge **edges,
                                      size_t *count, struct vqct_error *error);

#endif
