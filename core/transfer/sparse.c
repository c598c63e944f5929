/* Rows are filled by counting, as in a counting sort, then sorted and merged one by one. Degrees
 * are sums of whole numbers and the normalisation is in double, so that the order in which edges
 * come makes no difference. */
#include "sparse.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "size.h"

#define TASK_ROWS ((size_t)32)

/* An entry of A before the normalisation. */
struct entry {
  uint32_t column;
  uint64_t weight;
};

static int by_column(const void *a, const void *b) {
  uint32_t left = ((const struct entry *)a)->column, right = ((const struct entry *)b)->column;
  return (left > right) - (left < right);
}

static enum vqct_status check_edges(size_t nodes, const struct prior_edge *edges, size_t count,
                                    struct vqct_error *error) {
  for (size_t i = 0; i < count; i++) {
    if (edges[i].first >= nodes || edges[i].second >= nodes)
      return error_set(error, VQCT_MODEL, "edge %zu of the graph joins %u and %u of %zu words", i,
                       edges[i].first, edges[i].second, nodes);
    if (edges[i].first == edges[i].second)
      return error_set(error, VQCT_MODEL, "edge %zu of the graph joins word %u to itself", i,
                       edges[i].second);
    if (!edges[i].weight)
      return error_set(error, VQCT_MODEL, "edge %zu of the graph weighs 0", i);
  }
  return VQCT_OK;
}

/* Sets start[] to where each row begins if every edge gives an entry to both its rows, and every
 * row has one for itself. */
static void count_rows(size_t nodes, const struct prior_edge *edges, size_t count, size_t *start) {
  for (size_t i = 0; i <= nodes; i++)
    start[i] = i;
  for (size_t i = 0; i < count; i++) {
    start[edges[i].first + 1]++;
    start[edges[i].second + 1]++;
  }
  size_t more = 0; /* entries of edges in the rows so far */
  for (size_t i = 1; i <= nodes; i++) {
    more += start[i] - i;
    start[i] = more + i;
  }
}

/* Puts the entries into their rows; `used` counts the entries of each row and starts at 0. */
static void fill_rows(size_t nodes, const struct prior_edge *edges, size_t count,
                      const struct sparse *matrix, size_t *used, struct entry *entries) {
  for (size_t i = 0; i < nodes; i++)
    entries[matrix->start[i] + used[i]++] = (struct entry){(uint32_t)i, 1};
  for (size_t i = 0; i < count; i++) {
    uint32_t a = edges[i].first, b = edges[i].second;
    entries[matrix->start[a] + used[a]++] = (struct entry){b, edges[i].weight};
    entries[matrix->start[b] + used[b]++] = (struct entry){a, edges[i].weight};
  }
}

/* Sorts each row, adds up the entries of one column, closes the gaps that this leaves and writes
 * columns and row sums. */
static void merge_rows(struct sparse *matrix, struct entry *entries, double *degrees) {
  size_t to = 0;
  for (size_t i = 0; i < matrix->rows; i++) {
    size_t from = matrix->start[i], end = matrix->start[i + 1], first = to;
    qsort(entries + from, end - from, sizeof *entries, by_column);
    uint64_t sum = 0;
    for (; from < end; from++) {
      sum += entries[from].weight;
      if (to > first && entries[to - 1].column == entries[from].column)
        entries[to - 1].weight += entries[from].weight;
      else
        entries[to++] = entries[from];
    }
    matrix->start[i] = first;
    degrees[i] = (double)sum;
  }
  matrix->start[matrix->rows] = to;
}

static void normalize(struct sparse *matrix, const struct entry *entries, const double *degrees) {
  for (size_t i = 0; i < matrix->rows; i++)
    for (size_t e = matrix->start[i]; e < matrix->start[i + 1]; e++) {
      uint32_t column = entries[e].column;
      matrix->column[e] = column;
      matrix->value[e] = (float)((double)entries[e].weight / sqrt(degrees[i] * degrees[column]));
    }
}

enum vqct_status sparse_from_graph(size_t nodes, const struct prior_edge *edges, size_t edge_count,
                                   struct sparse *matrix, struct vqct_error *error) {
  *matrix = (struct sparse){.rows = nodes};
  enum vqct_status status = check_edges(nodes, edges, edge_count, error);
  size_t count;
  struct entry *entries = NULL;
  double *degrees = NULL;
  size_t *used = NULL;
  if (status != VQCT_OK)
    goto done;
  status = error_set(error, VQCT_MEMORY, "no memory for a graph of %zu words and %zu edges", nodes,
                     edge_count);
  if (!size_multiply(edge_count, 2, &count) || !size_add(count, nodes, &count))
    goto done;
  matrix->start = calloc(nodes + 1, sizeof *matrix->start);
  matrix->column = calloc(count + 1, sizeof *matrix->column);
  matrix->value = calloc(count + 1, sizeof *matrix->value);
  entries = calloc(count + 1, sizeof *entries);
  degrees = calloc(nodes + 1, sizeof *degrees);
  used = calloc(nodes + 1, sizeof *used);
  if (!matrix->start || !matrix->column || !matrix->value || !entries || !degrees || !used)
    goto done;
  count_rows(nodes, edges, edge_count, matrix->start);
  fill_rows(nodes, edges, edge_count, matrix, used, entries);
  merge_rows(matrix, entries, degrees);
  normalize(matrix, entries, degrees);
  status = VQCT_OK;
done:
  free(used);
  free(degrees);
  free(entries);
  if (status != VQCT_OK)
    sparse_free(matrix);
  return status;
}

void sparse_free(struct sparse *matrix) {
  free(matrix->start);
  free(matrix->column);
  free(matrix->value);
  *matrix = (struct sparse){0};
}

struct sparse_product {
  const struct sparse *matrix;
  const float *x;
  float *y;
  size_t columns;
};

static void multiply_rows(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct sparse_product *product = argument;
  const struct sparse *matrix = product->matrix;
  size_t columns = product->columns, end = (task + 1) * TASK_ROWS;
  for (size_t i = task * TASK_ROWS; i < end && i < matrix->rows; i++) {
    float *restrict y = product->y + i * columns;
    memset(y, 0, columns * sizeof *y);
    for (size_t e = matrix->start[i]; e < matrix->start[i + 1]; e++) {
      const float *restrict x = product->x + matrix->column[e] * columns;
      float value = matrix->value[e];
      for (size_t c = 0; c < columns; c++)
        y[c] += value * x[c];
    }
  }
}

void sparse_multiply(const struct sparse *matrix, const float *x, size_t columns, float *y,
                     const struct exec *exec) {
  struct sparse_product product = {matrix, x, y, columns};
  pool_run(exec->pool, (matrix->rows + TASK_ROWS - 1) / TASK_ROWS, multiply_rows, &product);
}
