/* Lines of JSON, NAME.tokens.jsonl. */
#include <stdlib.h>

#include "error.h"
#include "mapped_file.h"
#include "token_reading.h"

#define LINE_MAX_BYTES(numbers)                                                                    \
  (1024 + 16 * (numbers)) /* of as many numbers, of ten digits each                                \
                           */

struct token_reader {
  const struct token_set *set;
  struct mapped_file mapped;
};

static enum vqct_status lines_open(const struct token_set *set, struct token_reader **result,
                                   struct vqct_error *error) {
  struct token_reader *reader = calloc(1, sizeof *reader);
  *result = NULL;
  if (!reader)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", set->path);
  reader->set = set;
  enum vqct_status status = mapped_file_open(set->path, &reader->mapped, error);
  if (status == VQCT_OK)
    *result = reader;
  else
    free(reader);
  return status;
}

static enum vqct_status lines_find(struct token_reader *reader, const struct token_line *line,
                                   struct token_bytes *bytes, struct vqct_error *error) {
  json_int_t offset = json_integer_value(json_object_get(line->record, "offset"));
  json_int_t size = json_integer_value(json_object_get(line->record, "bytes"));
  size_t there = reader->mapped.size;
  if (offset < 0 || size < 1)
    return error_set(error, VQCT_DATA, "%s: its .jsonl does not tell where picture %zu is",
                     reader->set->path, line->row);
  if ((uint64_t)offset > there || (uint64_t)size > there - (uint64_t)offset)
    return error_set(error, VQCT_TOKENS, "%s: %zu bytes; the line of picture %zu ends at byte %llu",
                     reader->set->path, there, line->row,
                     (unsigned long long)offset + (unsigned long long)size);
  if ((uint64_t)size > LINE_MAX_BYTES(line->numbers))
    return error_set(
        error, VQCT_TOKENS, "%s: the line of picture %zu has %llu bytes for %llu numbers",
        reader->set->path, line->row, (unsigned long long)size, (unsigned long long)line->numbers);
  *bytes = (struct token_bytes){reader->mapped.data + offset, (size_t)size};
  return VQCT_OK;
}

static void lines_close(struct token_reader *reader) {
  if (reader)
    mapped_file_close(&reader->mapped);
  free(reader);
}

const struct token_reading token_reading_lines = {
    .text = true, .open = lines_open, .find = lines_find, .close = lines_close};
