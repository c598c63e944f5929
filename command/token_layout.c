/* token_layout_place is the one truth about where a token stands; arranging and reading back both
 * go by it, and the length counts the same rows and marks. */
#include "token_layout.h"

#include <string.h>

#include "error.h"

static bool has(int64_t mark) {
  return mark != TOKEN_MARK_NONE;
}

bool token_layout_has_marks(const struct token_layout *layout) {
  return has(layout->begin) || has(layout->end) || has(layout->row_end);
}

bool token_layout_is_plain(const struct token_layout *layout) {
  return !layout->interleaved && layout->offset == 0 && !token_layout_has_marks(layout);
}

/* The three marks with the options that give them. */
struct mark {
  const char *option, *key;
  int64_t value;
};

#define MARKS 3
static void list_marks(const struct token_layout *layout, struct mark *marks) {
  marks[0] = (struct mark){"--begin", "begin", layout->begin};
  marks[1] = (struct mark){"--end", "end", layout->end};
  marks[2] = (struct mark){"--row-end", "row_end", layout->row_end};
}

uint64_t token_layout_greatest(const struct token_layout *layout, uint32_t codes) {
  uint64_t greatest = (uint64_t)layout->offset + codes - 1;
  struct mark marks[MARKS];
  list_marks(layout, marks);
  for (size_t i = 0; i < MARKS; i++)
    if (has(marks[i].value) && (uint64_t)marks[i].value > greatest)
      greatest = (uint64_t)marks[i].value;
  return greatest;
}

enum vqct_status token_layout_check(const struct token_layout *layout, uint32_t codes,
                                    uint64_t limit, struct vqct_error *error) {
  uint64_t first = (uint64_t)layout->offset, last = first + codes - 1;
  struct mark marks[MARKS];
  list_marks(layout, marks);
  if (last > limit)
    return error_set(error, VQCT_INVALID,
                     "--offset %llu: the last code would be %llu, and a number of this file is at "
                     "most %llu",
                     (unsigned long long)first, (unsigned long long)last,
                     (unsigned long long)limit);
  for (size_t i = 0; i < MARKS; i++) {
    uint64_t value = (uint64_t)marks[i].value;
    if (!has(marks[i].value))
      continue;
    if (value >= first && value <= last)
      return error_set(error, VQCT_INVALID, "%s %llu: the codes are %llu to %llu", marks[i].option,
                       (unsigned long long)value, (unsigned long long)first,
                       (unsigned long long)last);
    if (value > limit)
      return error_set(error, VQCT_INVALID, "%s %llu: a number of this file is at most %llu",
                       marks[i].option, (unsigned long long)value, (unsigned long long)limit);
  }
  return VQCT_OK;
}

/* Numbers of one row of the grid, its end counted. */
static uint64_t row_length(const struct token_layout *layout, size_t planes, size_t width) {
  return (layout->interleaved ? planes * width : width) + has(layout->row_end);
}

uint64_t token_layout_length(const struct token_layout *layout, size_t planes, size_t height,
                             size_t width) {
  uint64_t rows = layout->interleaved ? height : planes * height;
  return rows * row_length(layout, planes, width) + has(layout->begin) + has(layout->end);
}

uint64_t token_layout_place(const struct token_layout *layout, size_t planes, size_t height,
                            size_t width, size_t plane, size_t row, size_t column) {
  uint64_t line = layout->interleaved ? row : plane * height + row;
  uint64_t within = layout->interleaved ? column * planes + plane : column;
  return has(layout->begin) + line * row_length(layout, planes, width) + within;
}

int token_layout_shape(const struct token_layout *layout, size_t planes, size_t height,
                       size_t width, size_t shape[3]) {
  const size_t planes_first[3] = {planes, height, width};
  const size_t positions_first[3] = {height, width, planes};
  if (token_layout_has_marks(layout)) {
    shape[0] = (size_t)token_layout_length(layout, planes, height, width);
    return 1;
  }
  memcpy(shape, layout->interleaved ? positions_first : planes_first, sizeof planes_first);
  return 3;
}

void token_layout_arrange(const struct token_layout *layout, size_t planes, size_t height,
                          size_t width, const uint32_t *tokens, uint32_t *numbers) {
  uint64_t length = token_layout_length(layout, planes, height, width);
  for (uint64_t i = 0; has(layout->row_end) && i < length; i++)
    numbers[i] = (uint32_t)layout->row_end; /* those that are tokens follow */
  if (has(layout->begin))
    numbers[0] = (uint32_t)layout->begin;
  if (has(layout->end))
    numbers[length - 1] = (uint32_t)layout->end;
  for (size_t p = 0; p < planes; p++)
    for (size_t y = 0; y < height; y++)
      for (size_t x = 0; x < width; x++)
        numbers[token_layout_place(layout, planes, height, width, p, y, x)] =
            *tokens++ + (uint32_t)layout->offset;
}

json_t *token_layout_to_json(const struct token_layout *layout) {
  json_t *record = json_pack("{s:s, s:I}", "order", layout->interleaved ? "interleaved" : "planes",
                             "offset", (json_int_t)layout->offset);
  struct mark marks[MARKS];
  list_marks(layout, marks);
  for (size_t i = 0; record && i < MARKS; i++)
    if (has(marks[i].value) &&
        json_object_set_new(record, marks[i].key, json_integer(marks[i].value)) != 0) {
      json_decref(record);
      return NULL;
    }
  return record;
}

static bool read_whole(const json_t *record, const char *key, int64_t missing, int64_t *value) {
  const json_t *found = json_object_get(record, key);
  *value = found ? (int64_t)json_integer_value(found) : missing;
  return !found || (json_is_integer(found) && *value >= 0 && *value <= UINT32_MAX);
}

enum vqct_status token_layout_from_json(const json_t *record, struct token_layout *layout,
                                        struct vqct_error *error) {
  const char *order = json_string_value(json_object_get(record, "order"));
  *layout = (struct token_layout)TOKEN_LAYOUT_PLAIN;
  if (!order || (strcmp(order, "planes") != 0 && strcmp(order, "interleaved") != 0))
    return error_set(error, VQCT_DATA,
                     "\"layout\": \"order\" must be \"planes\" or \"interleaved\"");
  layout->interleaved = strcmp(order, "interleaved") == 0;
  if (!read_whole(record, "offset", 0, &layout->offset) ||
      !read_whole(record, "begin", TOKEN_MARK_NONE, &layout->begin) ||
      !read_whole(record, "end", TOKEN_MARK_NONE, &layout->end) ||
      !read_whole(record, "row_end", TOKEN_MARK_NONE, &layout->row_end))
    return error_set(error, VQCT_DATA, "\"layout\": a number is not from 0 to 4294967295");
  return VQCT_OK;
}
