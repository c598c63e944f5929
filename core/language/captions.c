#include "captions.h"

#include <stdbool.h>
#include <string.h>

#include "byte_stream.h"
#include "error.h"
#include "json_stream.h"
#include "tokenize.h"
#include "utf8.h"

struct reader {
  struct byte_stream *stream;
  const struct caption_taker *taker;
  struct caption_counts *counts;
};

static bool is_blank(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] > ' ')
      return false;
  return true;
}

static enum vqct_status take(struct reader *reader, const char *text, size_t length,
                             struct vqct_error *error) {
  struct caption_counts *counts = reader->counts;
  if (length > CAPTION_BYTES_MAX) {
    counts->too_long++;
  } else if (!utf8_is_valid(text, length)) {
    counts->not_utf8++;
  } else if (is_blank(text, length)) {
    counts->empty++;
  } else {
    counts->captions++;
    return reader->taker->take(reader->taker->argument, text, length,
                               byte_stream_progress(reader->stream), error);
  }
  return VQCT_OK;
}

static enum vqct_status read_lines(struct reader *reader, struct vqct_error *error) {
  struct text_line line;
  enum vqct_status status;
  while ((status = byte_stream_line(reader->stream, &line, error)) == VQCT_OK && line.text)
    if ((status = take(reader, line.text, line.length, error)) != VQCT_OK)
      break;
  return status;
}

/* One element of "annotations", behind its opening brace. */
static enum vqct_status read_annotation(struct reader *reader, struct json_stream *json,
                                        struct vqct_error *error) {
  enum json_event event;
  enum vqct_status status;
  while ((status = json_stream_next(json, &event, error)) == VQCT_OK && event == JSON_EVENT_KEY) {
    if (!json_stream_text_is(json, "caption")) {
      if ((status = json_stream_skip(json, error)) != VQCT_OK)
        return status;
      continue;
    }
    if ((status = json_stream_next(json, &event, error)) != VQCT_OK)
      return status;
    if (event != JSON_EVENT_STRING)
      return json_stream_fault(json, "a caption that is a string", error);
    size_t length;
    const char *text = json_stream_text(json, &length);
    if ((status = take(reader, text, length, error)) != VQCT_OK)
      return status;
  }
  return status;
}

static enum vqct_status read_annotations(struct reader *reader, struct json_stream *json,
                                         struct vqct_error *error) {
  enum json_event event;
  enum vqct_status status = json_stream_next(json, &event, error);
  if (status == VQCT_OK && event != JSON_EVENT_ARRAY_BEGIN)
    return json_stream_fault(json, "annotations that are an array", error);
  while (status == VQCT_OK && (status = json_stream_next(json, &event, error)) == VQCT_OK &&
         event != JSON_EVENT_ARRAY_END) {
    if (event != JSON_EVENT_OBJECT_BEGIN)
      return json_stream_fault(json, "an annotation that is an object", error);
    status = read_annotation(reader, json, error);
  }
  return status;
}

static enum vqct_status read_document(struct reader *reader, struct json_stream *json,
                                      struct vqct_error *error) {
  enum json_event event;
  bool found = false;
  enum vqct_status status = json_stream_next(json, &event, error);
  if (status == VQCT_OK && event != JSON_EVENT_OBJECT_BEGIN)
    return json_stream_fault(json, "an object with annotations", error);
  while (status == VQCT_OK && (status = json_stream_next(json, &event, error)) == VQCT_OK &&
         event == JSON_EVENT_KEY) {
    bool annotations = json_stream_text_is(json, "annotations");
    found |= annotations;
    status = annotations ? read_annotations(reader, json, error) : json_stream_skip(json, error);
  }
  if (status != VQCT_OK)
    return status;
  status = json_stream_next(json, &event, error); /* nothing may follow */
  if (status == VQCT_OK && !found)
    return error_set(error, VQCT_DATA, "%s: the JSON has no annotations",
                     byte_stream_name(reader->stream));
  return status;
}

static enum vqct_status read_json(struct reader *reader, struct vqct_error *error) {
  struct json_stream *json = NULL;
  enum vqct_status status = json_stream_open(reader->stream, &json, error);
  if (status == VQCT_OK)
    status = read_document(reader, json, error);
  json_stream_close(json);
  return status;
}

/* Whether the first character that is not blank opens a JSON object. */
static enum vqct_status looks_like_json(const char *path, bool *json, struct vqct_error *error) {
  struct byte_stream *stream = NULL;
  *json = false;
  enum vqct_status status = byte_stream_open(path, 1, &stream, error);
  const char *bytes;
  size_t size = 0, at = 0;
  while (status == VQCT_OK && at == size) {
    status = byte_stream_block(stream, &bytes, &size, error);
    if (status != VQCT_OK || size == 0)
      break;
    for (at = 0; at < size && (unsigned char)bytes[at] <= ' ';)
      at++;
    *json = at < size && bytes[at] == '{';
  }
  byte_stream_close(stream);
  return status;
}

enum vqct_status captions_read(const char *path, const struct caption_taker *taker,
                               struct caption_counts *counts, struct vqct_error *error) {
  struct reader reader = {NULL, taker, counts};
  bool json;
  enum vqct_status status = looks_like_json(path, &json, error);
  if (status == VQCT_OK)
    status = byte_stream_open(path, CAPTION_BYTES_MAX + 1, &reader.stream, error);
  if (status == VQCT_OK)
    status = json ? read_json(&reader, error) : read_lines(&reader, error);
  byte_stream_close(reader.stream);
  return status;
}
