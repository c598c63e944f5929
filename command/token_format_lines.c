/* NAME.tokens.jsonl: a line of JSON for each picture, {"class_id": 3, "tokens": [5, 1, ...]}, as
 * 1d-tokenizer and RAR read it; class_id only where pictures have labels. The sidecar tells where a
 * line begins, as "offset", and its "bytes". */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "text.h"
#include "token_format.h"

struct token_files {
  struct part_file part;
  uint64_t found;   /* bytes that an earlier run left */
  struct text line; /* memory that is used again */
};

static void lines_close(struct token_files *files, enum part_end end) {
  if (!files)
    return;
  part_file_close(&files->part, end);
  text_free(&files->line);
  free(files);
}

static enum vqct_status lines_open(const struct token_output *output, struct token_files **result,
                                   struct vqct_error *error) {
  enum vqct_status status;
  *result = NULL;
  struct token_files *files = calloc(1, sizeof *files);
  if (!files)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  status = output->stream ? part_file_open_output(&files->part, PART_STREAM, error)
                          : part_file_open(&files->part, strdup(output->path), error);
  if (status || (status = part_file_found(&files->part, &files->found, error))) {
    lines_close(files, PART_AS_FOUND);
    return status;
  }
  *result = files;
  return VQCT_OK;
}

static bool lines_recount(struct token_files *files, const json_t *record, uint64_t numbers) {
  json_int_t offset = json_integer_value(json_object_get(record, "offset"));
  json_int_t bytes = json_integer_value(json_object_get(record, "bytes"));
  uint64_t size = files->part.size;
  if (offset < 0 || (uint64_t)offset != size || bytes <= 0 || (uint64_t)bytes < 2 * numbers ||
      files->found < size || (uint64_t)bytes > files->found - size)
    return false;
  files->part.size += (uint64_t)bytes;
  return true;
}

static enum vqct_status lines_cut(struct token_files *files, struct vqct_error *error) {
  return part_file_cut(&files->part, files->part.size, error);
}

/* A number of at most ten digits and what comes before it. */
static void add_number(struct text *line, const char *before, uint32_t number) {
  char digits[10];
  size_t first = sizeof digits;
  do
    digits[--first] = (char)('0' + number % 10);
  while (number /= 10);
  text_add(line, before, strlen(before));
  text_add(line, digits + first, sizeof digits - first);
}

static void print_line(struct text *line, const struct token_picture *picture) {
  line->size = 0;
  text_print(line, "{");
  if (picture->label)
    text_print(line, "\"class_id\": %zu, ", picture->class_index);
  text_print(line, "\"tokens\": [");
  for (size_t i = 0; i < picture->count; i++)
    add_number(line, i ? ", " : "", picture->numbers[i]);
  text_print(line, "]}\n");
}

static enum vqct_status lines_append(struct token_files *files, const struct token_picture *picture,
                                     json_t *record, struct vqct_error *error) {
  print_line(&files->line, picture);
  if (files->line.failed ||
      json_object_set_new(record, "offset", json_integer((json_int_t)files->part.size)) != 0 ||
      json_object_set_new(record, "bytes", json_integer((json_int_t)files->line.size)) != 0)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  return part_file_append(&files->part, files->line.data, files->line.size, error);
}

static enum vqct_status lines_finish(struct token_files *files, struct vqct_error *error) {
  return part_file_finish(&files->part, error);
}

const struct token_format token_format_lines = {
    .name = "jsonl",
    .suffix = ".tokens.jsonl",
    .stream = true,
    .widest = UINT32_MAX,
    .open = lines_open,
    .recount = lines_recount,
    .cut = lines_cut,
    .append = lines_append,
    .finish = lines_finish,
    .close = lines_close,
    .reading = &token_reading_lines,
};
