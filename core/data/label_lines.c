/* Lines are sorted by name, and a picture's name is looked for whole, then from behind each slash
 * and colon, so that the longest end wins. Each line keeps the picture that took it: a second one
 * is an error, and lines that none took are told. */
#include "label_lines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "byte_stream.h"
#include "error.h"

#define LINE_BYTES 16384 /* the most of a line */

struct label_line {
  char *name, *label; /* one block */
  uint64_t number;    /* of the line, from 1 */
  const char *picture;
};

struct label_lines {
  const char *path;
  struct label_line *line;
  size_t count, capacity;
};

static enum vqct_status fault(const struct text_line *line, const char *path, const char *what,
                              struct vqct_error *error) {
  return error_set(error, VQCT_DATA, "%s: line %" PRIu64 ": %s", path, line->number, what);
}

static enum vqct_status add_line(struct label_lines *lines, const struct text_line *line,
                                 struct vqct_error *error) {
  const char *tab = memchr(line->text, '\t', line->length);
  if (line->cut)
    return fault(line, lines->path, "it is too long", error);
  if (memchr(line->text, 0, line->length))
    return fault(line, lines->path, "it has a zero byte", error);
  if (!tab || tab == line->text)
    return fault(line, lines->path, "it must be a picture's name, a tab and its label", error);
  if (lines->count == lines->capacity) {
    size_t capacity = lines->capacity ? 2 * lines->capacity : 256;
    struct label_line *grown = realloc(lines->line, capacity * sizeof *grown);
    if (!grown)
      return error_set(error, VQCT_MEMORY, "%s: no memory for its lines", lines->path);
    lines->line = grown;
    lines->capacity = capacity;
  }
  char *name = malloc(line->length + 1);
  if (!name)
    return error_set(error, VQCT_MEMORY, "%s: no memory for its lines", lines->path);
  memcpy(name, line->text, line->length + 1);
  name[tab - line->text] = 0;
  lines->line[lines->count++] = (struct label_line){
      .name = name, .label = name + (tab - line->text) + 1, .number = line->number};
  return VQCT_OK;
}

static enum vqct_status read_lines(struct label_lines *lines, struct vqct_error *error) {
  struct byte_stream *stream;
  struct text_line line;
  enum vqct_status status = byte_stream_open(lines->path, LINE_BYTES, &stream, error);
  if (status != VQCT_OK)
    return status;
  while ((status = byte_stream_line(stream, &line, error)) == VQCT_OK && line.text) {
    if (line.length && (status = add_line(lines, &line, error)))
      break;
  }
  byte_stream_close(stream);
  return status;
}

static int by_name(const void *a, const void *b) {
  const struct label_line *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order ? order : (x->number > y->number) - (x->number < y->number);
}

/* By name, which may stand once. */
static enum vqct_status sort_lines(struct label_lines *lines, struct vqct_error *error) {
  if (lines->count)
    qsort(lines->line, lines->count, sizeof *lines->line, by_name);
  for (size_t i = 1; i < lines->count; i++)
    if (strcmp(lines->line[i].name, lines->line[i - 1].name) == 0)
      return error_set(error, VQCT_DATA,
                       "%s: line %" PRIu64 ": '%s' stands in line %" PRIu64 " already", lines->path,
                       lines->line[i].number, lines->line[i].name, lines->line[i - 1].number);
  return VQCT_OK;
}

enum vqct_status label_lines_open(const char *path, struct label_lines **result,
                                  struct vqct_error *error) {
  *result = NULL;
  struct label_lines *lines = calloc(1, sizeof *lines);
  if (!lines)
    return error_set(error, VQCT_MEMORY, "%s: no memory for its lines", path);
  lines->path = path;
  enum vqct_status status = read_lines(lines, error);
  if (status || (status = sort_lines(lines, error))) {
    label_lines_close(lines);
    return status;
  }
  *result = lines;
  return VQCT_OK;
}

void label_lines_close(struct label_lines *lines) {
  if (!lines)
    return;
  for (size_t i = 0; i < lines->count; i++)
    free(lines->line[i].name);
  free(lines->line);
  free(lines);
}

static int against_name(const void *name, const void *line) {
  return strcmp(name, ((const struct label_line *)line)->name);
}

/* The line of the longest end of a name. */
static struct label_line *find(const struct label_lines *lines, const char *name) {
  struct label_line *found = NULL;
  while (lines->count && name && !found) {
    found = bsearch(name, lines->line, lines->count, sizeof *lines->line, against_name);
    name = strpbrk(name, "/:");
    name = name ? name + 1 : NULL;
  }
  return found;
}

enum vqct_status label_lines_find(struct label_lines *lines, const char *name, const char **label,
                                  struct vqct_error *error) {
  struct label_line *line = find(lines, name);
  *label = line ? line->label : NULL;
  if (!line)
    return VQCT_OK;
  if (line->picture && strcmp(line->picture, name) != 0)
    return error_set(error, VQCT_DATA, "%s: line %" PRIu64 ": '%s' names both %s and %s",
                     lines->path, line->number, line->name, line->picture, name);
  line->picture = name;
  return VQCT_OK;
}

size_t label_lines_unused(const struct label_lines *lines, const char **name, uint64_t *number) {
  size_t unused = 0;
  *number = UINT64_MAX;
  *name = NULL;
  for (size_t i = 0; i < lines->count; i++) {
    const struct label_line *line = &lines->line[i];
    unused += !line->picture;
    if (!line->picture && line->number < *number) {
      *number = line->number;
      *name = line->name;
    }
  }
  return unused;
}
