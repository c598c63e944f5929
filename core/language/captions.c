/* Both forms are read as streams, and a caption is handed on as soon as it is complete, so that
 * memory does not grow with the file. */
#include "captions.h"

#include <stdbool.h>
#include <string.h>

#include "captions_forms.h"
#include "json_stream.h"

enum caption_form { CAPTIONS_TEXT, CAPTIONS_JSON, CAPTIONS_JSON_LINES, CAPTIONS_CSV, CAPTIONS_TSV };

static enum vqct_status read_text(const struct caption_reader *reader, struct vqct_error *error) {
  struct text_line line;
  enum vqct_status status;
  while ((status = byte_stream_line(reader->stream, &line, error)) == VQCT_OK && line.text)
    if ((status = caption_reader_take(reader, line.text, line.length, error)) != VQCT_OK)
      break;
  return status;
}

/* Whether a path without ".gz" ends so, in either case. */
static bool has_ending(const char *path, const char *ending) {
  size_t length = strlen(path), tail = strlen(ending);
  if (length > 3 && !strcmp(path + length - 3, ".gz"))
    length -= 3;
  if (length <= tail)
    return false;
  for (size_t i = 0; i < tail; i++)
    if ((path[length - tail + i] | 0x20) != (ending[i] | 0x20))
      return false;
  return true;
}

static size_t skip_blanks(const char *bytes, size_t size, size_t at) {
  while (at < size && (unsigned char)bytes[at] <= ' ')
    at++;
  return at;
}

/* A caption may begin with "[", a list of objects goes on with "{". */
static enum vqct_status form_of(const char *bytes, size_t size, const char *path,
                                enum caption_form *form, struct vqct_error *error) {
  *form = CAPTIONS_TEXT;
  if (bytes[0] == '[') {
    size_t next = skip_blanks(bytes, size, 1);
    *form = next < size && bytes[next] == '{' ? CAPTIONS_JSON : CAPTIONS_TEXT;
  }
  if (bytes[0] != '{')
    return VQCT_OK;
  const char *newline = memchr(bytes, '\n', size);
  bool lines;
  enum vqct_status status =
      captions_is_json_line(bytes, newline ? (size_t)(newline - bytes) : size, path, &lines, error);
  *form = lines ? CAPTIONS_JSON_LINES : CAPTIONS_JSON;
  return status;
}

/* By the name, else by the first block that holds more than blanks. */
static enum vqct_status find_form(const char *path, enum caption_form *form,
                                  struct vqct_error *error) {
  *form = has_ending(path, ".csv")   ? CAPTIONS_CSV
          : has_ending(path, ".tsv") ? CAPTIONS_TSV
                                     : CAPTIONS_TEXT;
  if (*form != CAPTIONS_TEXT)
    return VQCT_OK;
  struct byte_stream *stream = NULL;
  enum vqct_status status = byte_stream_open(path, 1, &stream, error);
  const char *bytes;
  size_t size = 0, at = 0;
  while (status == VQCT_OK && at == size) {
    status = byte_stream_block(stream, &bytes, &size, error);
    if (status != VQCT_OK || size == 0)
      break;
    at = skip_blanks(bytes, size, 0);
  }
  if (status == VQCT_OK && at < size)
    status = form_of(bytes + at, size - at, path, form, error);
  byte_stream_close(stream);
  return status;
}

static enum vqct_status read_form(const struct caption_reader *reader, enum caption_form form,
                                  struct vqct_error *error) {
  switch (form) {
  case CAPTIONS_JSON:
    return captions_read_json(reader, error);
  case CAPTIONS_JSON_LINES:
    return captions_read_json_lines(reader, error);
  case CAPTIONS_CSV:
  case CAPTIONS_TSV:
    return captions_read_table(reader, form == CAPTIONS_TSV, error);
  case CAPTIONS_TEXT:
    break;
  }
  return read_text(reader, error);
}

enum vqct_status captions_read(const char *path, const char *column,
                               const struct caption_taker *taker, struct caption_counts *counts,
                               struct vqct_error *error) {
  struct caption_reader reader = {NULL, column, taker, counts};
  enum caption_form form;
  enum vqct_status status = find_form(path, &form, error);
  if (status != VQCT_OK)
    return status;
  status = byte_stream_open(path, JSON_TEXT_MAX, &reader.stream, error);
  if (status == VQCT_OK)
    status = read_form(&reader, form, error);
  byte_stream_close(reader.stream);
  return status;
}
