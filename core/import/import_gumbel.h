/* The quantizer of a Gumbel VQGAN in the terms of a plain codebook.
 *
 * It chooses the code n of the greatest logit p_n z + b_n and reads it from another table, e_n.
 * With rows [p_n, b_n, e_n] and vectors [z, 1, 0 ...] that is the greatest dot product: quant_conv
 * gets outputs that are always 1 and 0, and post_quant_conv reads only the last part of a row.
 * Zeros and ones are exact, so nothing is lost.
 */
#ifndef IMPORT_IMPORT_GUMBEL_H
#define IMPORT_IMPORT_GUMBEL_H

#include <stddef.h>

/** Numbers of a row for vectors of `vector` numbers and a table of `code`. */
static inline int import_gumbel_dimension(int vector, int code) {
  return vector + 1 + code;
}

/** Rows from the weights (codes,vector) and biases (codes) of the logits and the table
 * (codes,code): codes, import_gumbel_dimension. */
void import_gumbel_rows(const float *weights, const float *biases, const float *table, size_t codes,
                        size_t vector, size_t code, float *rows);

/** Copies (rows,columns) into columns first_column and on of (rows,wide_columns). */
void import_gumbel_spread(const float *from, size_t rows, size_t columns, float *to,
                          size_t wide_columns, size_t first_column);

#endif
