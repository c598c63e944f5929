/* Edges of a prior are sorted, of different rows, and stand once; these make them so. Weights that
 * would overflow stay at their largest.
 */
#include "prior_edges.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "word_table.h"

static int compare_edges(const void *a, const void *b) {
  const struct prior_edge *left = a, *right = b;
  if (left->first != right->first)
    return left->first < right->first ? -1 : 1;
  return (left->second > right->second) - (left->second < right->second);
}

size_t prior_edges_merge(struct prior_edge *edges, size_t count) {
  size_t kept = 0, merged = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t a = edges[i].first, b = edges[i].second;
    if (a != b)
      edges[kept++] = (struct prior_edge){a < b ? a : b, a < b ? b : a, edges[i].weight};
  }
  if (kept)
    qsort(edges, kept, sizeof *edges, compare_edges);
  for (size_t i = 0; i < kept; i++) {
    struct prior_edge *last = merged ? &edges[merged - 1] : NULL;
    if (!last || compare_edges(last, &edges[i]) != 0)
      edges[merged++] = edges[i];
    else if (__builtin_add_overflow(last->weight, edges[i].weight, &last->weight))
      last->weight = UINT32_MAX;
  }
  return merged;
}

enum vqct_status prior_edges_released(const struct prior *prior, struct prior_edge **edges,
                                      size_t *count, struct vqct_error *error) {
  struct word_table nouns = {0};
  uint32_t id;
  enum vqct_status status = VQCT_MEMORY;
  *edges = malloc(prior->edge_count * sizeof **edges + 1);
  if (!*edges)
    goto done;
  for (size_t row = prior->adjectives; row < prior->words; row++)
    if (!word_table_add(&nouns, prior->word[row], strlen(prior->word[row]), &id))
      goto done;
  for (size_t i = 0; i < prior->edge_count; i++) {
    struct prior_edge edge = prior->edges[i];
    uint32_t *end[2] = {&edge.first, &edge.second};
    for (int j = 0; j < 2; j++) {
      const char *word = prior->word[*end[j]];
      id = word_table_find(&nouns, word, strlen(word));
      if (id != WORD_NONE)
        *end[j] = (uint32_t)prior->adjectives + id;
    }
    (*edges)[i] = edge;
  }
  *count = prior_edges_merge(*edges, prior->edge_count);
  status = VQCT_OK;
done:
  word_table_free(&nouns);
  if (status == VQCT_OK)
    return VQCT_OK;
  free(*edges);
  *edges = NULL;
  return error_set(error, status, "no memory for the prior's edges");
}
