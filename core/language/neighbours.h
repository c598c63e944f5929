/* The words around a word of a prior: in its graph and in its embedding space. */
#ifndef LANGUAGE_NEIGHBOURS_H
#define LANGUAGE_NEIGHBOURS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "prior.h"

struct neighbour {
  uint32_t row;
  double strength; /* graph: weight of the edge; embeddings: cosine, -1 to 1 */
};

/** The row of a word as adjective (true) or noun; false where it is not one. */
bool prior_find(const struct prior *prior, const char *word, bool adjective, uint32_t *row);

/** The `most` strongest neighbours in the graph, strongest first, ties by row. Returns how many
 * were written; *all tells how many there are. */
size_t prior_graph_neighbours(const struct prior *prior, uint32_t row, struct neighbour *neighbours,
                              size_t most, size_t *all);

/** The `most` words of one part of speech nearest to a word by cosine, itself left out; a word
 * whose embedding is all zeros is near to nothing (0). Returns how many were written. */
size_t prior_nearest(const struct prior *prior, uint32_t row, bool adjectives,
                     struct neighbour *neighbours, size_t most);

/** Writes the neighbourhood of a row as Graphviz DOT: its `most` strongest neighbours in the graph,
 * theirs in turn (a third as many each), and dashed lines to the words of its own part of speech
 * that are nearest in embedding space. Errors: WRITE, MEMORY. */
enum vqct_status prior_write_dot(const struct prior *prior, uint32_t row, size_t most, FILE *out,
                                 struct vqct_error *error);

#endif
