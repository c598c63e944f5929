/* GloVe's and word2vec's text: one word and D numbers a line. The fields of every row are counted,
 * so that a damaged file is noticed wherever the damage lies; numbers are read only where the word
 * is wanted. Some rows of the larger GloVe files have words with spaces, such as ". . ."; they have
 * too many fields, and no number in the second. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "decimal.h"
#include "embeddings_forms.h"
#include "error.h"

struct row {
  const char *text, *end; /* without blanks at the end */
  const char *rest;       /* behind the first field and its blanks */
  size_t word_length;     /* of the first field */
  size_t fields;
  uint64_t line;
};

static bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

static const char *skip_field(const char *at, const char *end) {
  while (at < end && !is_blank(*at))
    at++;
  return at;
}

static const char *skip_blanks(const char *at, const char *end) {
  while (at < end && is_blank(*at))
    at++;
  return at;
}

static struct row split_row(const struct text_line *line) {
  struct row row = {line->text, line->text + line->length, NULL, 0, 0, line->number};
  while (row.end > row.text && is_blank(row.end[-1]))
    row.end--;
  const char *at = skip_field(row.text, row.end);
  row.word_length = (size_t)(at - row.text);
  row.fields = row.end > row.text;
  row.rest = skip_blanks(at, row.end);
  for (at = row.rest; at < row.end; at = skip_blanks(skip_field(at, row.end), row.end))
    row.fields++;
  return row;
}

static bool second_is_number(const struct row *row) {
  double value;
  return decimal_parse(row->rest, (size_t)(skip_field(row->rest, row->end) - row->rest), &value);
}

/* word2vec's first line: how many rows follow, and D. */
static bool is_header(const struct row *row, double *rows, double *dimension) {
  return row->fields == 2 && decimal_parse(row->text, row->word_length, rows) &&
         decimal_parse(row->rest, (size_t)(row->end - row->rest), dimension) &&
         *rows == floor(*rows) && *dimension == floor(*dimension) && *rows >= 0 && *dimension >= 1;
}

/* "nan", "inf" and their like, which some writers leave. */
static bool is_not_finite_text(const char *text, size_t length) {
  if (length && (*text == '-' || *text == '+')) {
    text++;
    length--;
  }
  return (length == 3 && (!strncasecmp(text, "nan", 3) || !strncasecmp(text, "inf", 3))) ||
         (length == 8 && !strncasecmp(text, "infinity", 8));
}

static enum vqct_status read_numbers(struct embeddings_store *store, const struct row *row,
                                     struct vqct_error *error) {
  const char *at = row->rest;
  for (size_t i = 0; i < store->result->dimension; i++) {
    const char *end = skip_field(at, row->end);
    double value;
    if (!decimal_parse(at, (size_t)(end - at), &value)) {
      if (!is_not_finite_text(at, (size_t)(end - at)))
        return error_set(error, VQCT_DATA, "%s:%llu: number %zu is '%.*s'", store->source->path,
                         (unsigned long long)row->line, i + 1, (int)(end - at < 40 ? end - at : 40),
                         at);
      value = NAN;
    }
    store->row[i] = (float)value;
    at = skip_blanks(end, row->end);
  }
  return VQCT_OK;
}

static enum vqct_status read_row(struct embeddings_store *store, const struct row *row,
                                 struct vqct_error *error) {
  size_t dimension = store->result->dimension;
  if (row->fields > dimension + 1 && !second_is_number(row)) {
    store->result->rows++;
    store->result->spaced++;
    return VQCT_OK;
  }
  if (row->fields != dimension + 1)
    return error_set(error, VQCT_DATA, "%s:%llu: %zu numbers, where the rows before have %zu",
                     store->source->path, (unsigned long long)row->line, row->fields - 1,
                     dimension);
  uint32_t id = embeddings_wants(store, row->text, row->word_length);
  if (id == WORD_NONE)
    return VQCT_OK;
  enum vqct_status status = read_numbers(store, row, error);
  if (status != VQCT_OK)
    return status;
  embeddings_take(store, id);
  return VQCT_OK;
}

/* The next line that is not blank; fields 0 at the end of the file. */
static enum vqct_status next_row(struct embeddings_store *store, struct byte_stream *bytes,
                                 struct row *row, struct vqct_error *error) {
  struct text_line line;
  do {
    enum vqct_status status = byte_stream_line(bytes, &line, error);
    *row = (struct row){0};
    if (status != VQCT_OK || !line.text)
      return status;
    if (line.cut)
      return error_set(error, VQCT_LIMIT, "%s:%llu: a line of over %zu bytes", store->source->path,
                       (unsigned long long)line.number, line.length);
    *row = split_row(&line);
  } while (!row->fields);
  return VQCT_OK;
}

enum vqct_status embeddings_read_text(struct embeddings_store *store, struct byte_stream *bytes,
                                      struct vqct_error *error) {
  struct row row;
  double rows = -1, dimension;
  enum vqct_status status = next_row(store, bytes, &row, error);
  if (status != VQCT_OK)
    return status;
  bool header = is_header(&row, &rows, &dimension);
  if (!header)
    dimension = row.fields ? (double)(row.fields - 1) : 0;
  if (dimension > 1e9) /* so that it fits; embeddings_begin refuses it in words */
    dimension = 1e9;
  status = embeddings_begin(store, (size_t)dimension, row.line, error);
  if (status != VQCT_OK)
    return status;
  if (header && (status = next_row(store, bytes, &row, error)) != VQCT_OK)
    return status;
  while (row.fields) {
    status = read_row(store, &row, error);
    if (status != VQCT_OK)
      return status;
    embeddings_tell(store, byte_stream_progress(bytes));
    status = next_row(store, bytes, &row, error);
    if (status != VQCT_OK)
      return status;
  }
  if (header && (double)store->result->rows != rows)
    return error_set(error, VQCT_DATA, "%s: %llu rows, where its first line says %.0f",
                     store->source->path, (unsigned long long)store->result->rows, rows);
  return VQCT_OK;
}
