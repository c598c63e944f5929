/* How a picture's tokens become a row of numbers, as a language model takes them, and back.
 *
 *   planes       plane after plane, each row after row:  a a a ... n n n ...
 *   interleaved  position after position:                a n a n a n ...
 *
 * Each row of the grid may end with a number of its own (in each plane, where planes follow each
 * other), and so may the picture begin and end. A token t stands as t + offset. Shapes: P planes, h
 * rows, w columns.
 */
#ifndef COMMAND_TOKEN_LAYOUT_H
#define COMMAND_TOKEN_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "vqct/status.h"

#define TOKEN_MARK_NONE (-1)

struct token_layout {
  bool interleaved;
  int64_t offset;              /* of the codebook's first row */
  int64_t begin, end, row_end; /* numbers, or TOKEN_MARK_NONE */
};

/** Planes after each other, nothing added. */
#define TOKEN_LAYOUT_PLAIN                                                                         \
  { .begin = TOKEN_MARK_NONE, .end = TOKEN_MARK_NONE, .row_end = TOKEN_MARK_NONE }

bool token_layout_is_plain(const struct token_layout *layout);

/** Whether numbers are added, so that a picture is a row of them and no grid. */
bool token_layout_has_marks(const struct token_layout *layout);

/** The greatest number that may occur with this many codes. */
uint64_t token_layout_greatest(const struct token_layout *layout, uint32_t codes);

/** Refuses marks that are tokens, and numbers above `limit`, naming the option. Errors: INVALID. */
enum vqct_status token_layout_check(const struct token_layout *layout, uint32_t codes,
                                    uint64_t limit, struct vqct_error *error);

/** The shape of a picture's numbers as an array, whose dimensions are given: P,h,w; h,w,P where
 * positions follow each other; one row where numbers are added. */
int token_layout_shape(const struct token_layout *layout, size_t planes, size_t height,
                       size_t width, size_t shape[3]);

/** How many numbers a picture has. */
uint64_t token_layout_length(const struct token_layout *layout, size_t planes, size_t height,
                             size_t width);

/** Arranges tokens (P,h,w) into numbers. */
void token_layout_arrange(const struct token_layout *layout, size_t planes, size_t height,
                          size_t width, const uint32_t *tokens, uint32_t *numbers);

/** Where token `plane, row, column` stands among a picture's numbers. */
uint64_t token_layout_place(const struct token_layout *layout, size_t planes, size_t height,
                            size_t width, size_t plane, size_t row, size_t column);

/** For the sidecar: "order", "offset" and those of "begin", "end", "row_end" that are there. NULL
 * where memory fails. */
json_t *token_layout_to_json(const struct token_layout *layout);

/** Errors: DATA (something is out of range). */
enum vqct_status token_layout_from_json(const json_t *record, struct token_layout *layout,
                                        struct vqct_error *error);

#endif
