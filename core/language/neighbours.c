/* One pass over all edges or all words, which keeps the strongest in order; equals come in the
 * order of their rows, so that the answer is always the same. */
#include "neighbours.h"

#include <math.h>
#include <string.h>

bool prior_find(const struct prior *prior, const char *word, bool adjective, uint32_t *row) {
  size_t at = adjective ? 0 : prior->adjectives, end = adjective ? prior->adjectives : prior->words;
  for (; at < end; at++)
    if (!strcmp(prior->word[at], word)) {
      *row = (uint32_t)at;
      return true;
    }
  return false;
}

/* Puts one in at its place among the strongest so far. */
static size_t put(struct neighbour *neighbours, size_t count, size_t most,
                  struct neighbour candidate) {
  size_t at = count;
  while (at > 0 && (neighbours[at - 1].strength < candidate.strength ||
                    (neighbours[at - 1].strength <= candidate.strength &&
                     neighbours[at - 1].row > candidate.row)))
    at--;
  if (at == most)
    return count;
  if (count < most)
    count++;
  memmove(neighbours + at + 1, neighbours + at, (count - 1 - at) * sizeof *neighbours);
  neighbours[at] = candidate;
  return count;
}

size_t prior_graph_neighbours(const struct prior *prior, uint32_t row, struct neighbour *neighbours,
                              size_t most, size_t *all) {
  size_t count = 0;
  *all = 0;
  for (size_t i = 0; i < prior->edge_count; i++) {
    const struct prior_edge *edge = &prior->edges[i];
    if (edge->first != row && edge->second != row)
      continue;
    uint32_t other = edge->first == row ? edge->second : edge->first;
    ++*all;
    count = put(neighbours, count, most, (struct neighbour){other, edge->weight});
  }
  return count;
}

static double dot_product(const float *a, const float *b, size_t size) {
  double sum = 0;
  for (size_t i = 0; i < size; i++)
    sum += (double)a[i] * (double)b[i];
  return sum;
}

size_t prior_nearest(const struct prior *prior, uint32_t row, bool adjectives,
                     struct neighbour *neighbours, size_t most) {
  size_t dimension = prior->dimension, count = 0;
  size_t at = adjectives ? 0 : prior->adjectives,
         end = adjectives ? prior->adjectives : prior->words;
  const float *vector = prior->embeddings + row * dimension;
  double own = dot_product(vector, vector, dimension);
  for (; at < end; at++) {
    if (at == row)
      continue;
    const float *other = prior->embeddings + at * dimension;
    double length = sqrt(own * dot_product(other, other, dimension));
    double cosine = length > 0 ? dot_product(vector, other, dimension) / length : 0;
    count = put(neighbours, count, most, (struct neighbour){(uint32_t)at, cosine});
  }
  return count;
}
