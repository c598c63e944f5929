#include "import_gumbel.h"

#include <string.h>

void import_gumbel_rows(const float *weights, const float *biases, const float *table, size_t codes,
                        size_t vector, size_t code, float *rows) {
  size_t dimension = vector + 1 + code;
  for (size_t i = 0; i < codes; i++) {
    float *row = rows + i * dimension;
    memcpy(row, weights + i * vector, vector * sizeof *row);
    row[vector] = biases[i];
    memcpy(row + vector + 1, table + i * code, code * sizeof *row);
  }
}

void import_gumbel_spread(const float *from, size_t rows, size_t columns, float *to,
                          size_t wide_columns, size_t first_column) {
  for (size_t i = 0; i < rows; i++)
    memcpy(to + i * wide_columns + first_column, from + i * columns, columns * sizeof *to);
}
