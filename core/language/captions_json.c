/* JSON documents are read as a stream, whatever their size: an object whose "annotations" (COCO) or
 * "images" (Karpathy) hold the captions, or a list of objects. A caption that is null is counted
 * and passed over; one that is no string is a fault. JSON Lines are parsed line by line. */
#include <jansson.h>

#include "captions_forms.h"
#include "error.h"
#include "json_stream.h"

/* Reads an element of a list, behind its opening brace. */
typedef enum vqct_status element_reader(const struct caption_reader *reader,
                                        struct json_stream *json, struct vqct_error *error);

/* Calls `each` for every element of a list, behind its opening bracket. */
static enum vqct_status read_elements(const struct caption_reader *reader, struct json_stream *json,
                                      const char *expected, element_reader *each,
                                      struct vqct_error *error) {
  enum json_event event;
  enum vqct_status status;
  while ((status = json_stream_next(json, &event, error)) == VQCT_OK &&
         event != JSON_EVENT_ARRAY_END) {
    if (event != JSON_EVENT_OBJECT_BEGIN)
      return json_stream_fault(json, expected, error);
    if ((status = each(reader, json, error)) != VQCT_OK)
      return status;
  }
  return status;
}

/* The same with its bracket, for a value that must be a list. */
static enum vqct_status read_list(const struct caption_reader *reader, struct json_stream *json,
                                  const char *expected, element_reader *each,
                                  struct vqct_error *error) {
  enum json_event event;
  enum vqct_status status = json_stream_next(json, &event, error);
  if (status != VQCT_OK)
    return status;
  if (event != JSON_EVENT_ARRAY_BEGIN)
    return json_stream_fault(json, expected, error);
  return read_elements(reader, json, expected, each, error);
}

/* The value of a caption's key: a string, null, or a list of both. */
static enum vqct_status read_value(const struct caption_reader *reader, struct json_stream *json,
                                   struct vqct_error *error) {
  bool listed = false;
  for (;;) {
    enum json_event event;
    size_t length;
    enum vqct_status status = json_stream_next(json, &event, error);
    if (status != VQCT_OK)
      return status;
    if (event == JSON_EVENT_ARRAY_END && listed)
      return VQCT_OK;
    if (event == JSON_EVENT_STRING) {
      const char *text = json_stream_text(json, &length);
      status = caption_reader_take(reader, text, length, error);
    } else if (event == JSON_EVENT_NULL) {
      reader->counts->missing++;
    } else if (event == JSON_EVENT_ARRAY_BEGIN && !listed) {
      listed = true;
    } else {
      return json_stream_fault(json, "a caption that is a string or null", error);
    }
    if (status != VQCT_OK || !listed)
      return status;
  }
}

/* One object, behind its opening brace, with captions under `key`. */
static enum vqct_status read_object(const struct caption_reader *reader, struct json_stream *json,
                                    const char *key, struct vqct_error *error) {
  enum json_event event;
  enum vqct_status status;
  bool found = false;
  while ((status = json_stream_next(json, &event, error)) == VQCT_OK && event == JSON_EVENT_KEY) {
    bool caption = json_stream_text_is(json, key);
    found |= caption;
    status = caption ? read_value(reader, json, error) : json_stream_skip(json, error);
    if (status != VQCT_OK)
      return status;
  }
  if (status != VQCT_OK)
    return status;
  reader->counts->missing += !found;
  return VQCT_OK;
}

static enum vqct_status read_captioned(const struct caption_reader *reader,
                                       struct json_stream *json, struct vqct_error *error) {
  return read_object(reader, json, reader->column, error);
}

static enum vqct_status read_sentence(const struct caption_reader *reader, struct json_stream *json,
                                      struct vqct_error *error) {
  return read_object(reader, json, "raw", error);
}

/* One of Karpathy's images, behind its opening brace. Those of COCO have no sentences. */
static enum vqct_status read_image(const struct caption_reader *reader, struct json_stream *json,
                                   struct vqct_error *error) {
  static const char expected[] = "sentences that are a list of objects";
  enum json_event event;
  enum vqct_status status;
  while ((status = json_stream_next(json, &event, error)) == VQCT_OK && event == JSON_EVENT_KEY) {
    if (json_stream_text_is(json, "sentences"))
      status = read_list(reader, json, expected, read_sentence, error);
    else
      status = json_stream_skip(json, error);
    if (status != VQCT_OK)
      return status;
  }
  return status;
}

/* Captions and those passed over, so far. */
static uint64_t all_counted(const struct caption_counts *c) {
  return c->captions + c->empty + c->not_utf8 + c->too_long + c->missing;
}

/* The object of COCO or Karpathy, behind its opening brace. */
static enum vqct_status read_document(const struct caption_reader *reader, struct json_stream *json,
                                      struct vqct_error *error) {
  enum json_event event;
  enum vqct_status status;
  bool annotations = false;
  uint64_t before = all_counted(reader->counts);
  while ((status = json_stream_next(json, &event, error)) == VQCT_OK && event == JSON_EVENT_KEY) {
    if (json_stream_text_is(json, "annotations")) {
      annotations = true;
      status =
          read_list(reader, json, "annotations that are a list of objects", read_captioned, error);
    } else if (json_stream_text_is(json, "images")) {
      status = read_list(reader, json, "images that are a list of objects", read_image, error);
    } else {
      status = json_stream_skip(json, error);
    }
    if (status != VQCT_OK)
      return status;
  }
  if (status != VQCT_OK)
    return status;
  if (!annotations && all_counted(reader->counts) == before)
    return error_set(error, VQCT_DATA,
                     "%s: the JSON has no annotations, and no images with sentences",
                     byte_stream_name(reader->stream));
  return VQCT_OK;
}

static enum vqct_status read_any(const struct caption_reader *reader, struct json_stream *json,
                                 struct vqct_error *error) {
  enum json_event event;
  enum vqct_status status = json_stream_next(json, &event, error);
  if (status != VQCT_OK)
    return status;
  if (event == JSON_EVENT_OBJECT_BEGIN)
    status = read_document(reader, json, error);
  else if (event == JSON_EVENT_ARRAY_BEGIN)
    status = read_elements(reader, json, "a list of objects", read_captioned, error);
  else
    return json_stream_fault(json, "an object with annotations, or a list of objects", error);
  return status == VQCT_OK ? json_stream_next(json, &event, error) : status; /* nothing follows */
}

enum vqct_status captions_read_json(const struct caption_reader *reader, struct vqct_error *error) {
  struct json_stream *json;
  enum vqct_status status = json_stream_open(reader->stream, &json, error);
  if (status != VQCT_OK)
    return status;
  status = read_any(reader, json, error);
  json_stream_close(json);
  return status;
}

/* ---- JSON Lines ------------------------------------------------------------------------------ */

/* *object is NULL where the text is not JSON. Errors: MEMORY. */
static enum vqct_status parse(const char *text, size_t length, const char *name, json_t **object,
                              json_error_t *fault, struct vqct_error *error) {
  *object = json_loadb(text, length, JSON_ALLOW_NUL, fault);
  if (!*object && json_error_code(fault) == json_error_out_of_memory)
    return error_set(error, VQCT_MEMORY, "%s: no memory for a line", name);
  return VQCT_OK;
}

enum vqct_status captions_is_json_line(const char *line, size_t length, const char *name, bool *is,
                                       struct vqct_error *error) {
  json_t *object;
  json_error_t fault;
  enum vqct_status status = parse(line, length, name, &object, &fault, error);
  *is = json_is_object(object) && !json_object_get(object, "annotations") &&
        !json_object_get(object, "images");
  json_decref(object);
  return status;
}

static enum vqct_status take_string(const struct caption_reader *reader, const json_t *value,
                                    struct vqct_error *error) {
  return caption_reader_take(reader, json_string_value(value), json_string_length(value), error);
}

/* A string, a list of strings, or null; *good: it is one of these. */
static enum vqct_status take_value(const struct caption_reader *reader, const json_t *value,
                                   bool *good, struct vqct_error *error) {
  *good = true;
  if (json_is_string(value))
    return take_string(reader, value, error);
  reader->counts->missing += !value || json_is_null(value) ? 1 : 0;
  *good = !value || json_is_null(value) || json_is_array(value);
  for (size_t i = 0; *good && i < json_array_size(value); i++) {
    const json_t *element = json_array_get(value, i);
    *good = json_is_string(element) || json_is_null(element);
    reader->counts->missing += json_is_null(element) ? 1 : 0;
    enum vqct_status status =
        json_is_string(element) ? take_string(reader, element, error) : VQCT_OK;
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static enum vqct_status read_json_line(const struct caption_reader *reader,
                                       const struct text_line *line, bool *found,
                                       struct vqct_error *error) {
  const char *name = byte_stream_name(reader->stream);
  unsigned long long number = line->number;
  json_error_t fault;
  if (line->cut)
    return error_set(error, VQCT_LIMIT, "%s:%llu: a line of over %zu bytes", name, number,
                     line->length);
  json_t *object;
  enum vqct_status status = parse(line->text, line->length, name, &object, &fault, error);
  if (status != VQCT_OK)
    return status;
  if (!object)
    return error_set(error, VQCT_DATA, "%s:%llu: %s", name, number, fault.text);
  const json_t *value = json_object_get(object, reader->column);
  bool good = false;
  if (json_is_object(object))
    status = take_value(reader, value, &good, error);
  if (status == VQCT_OK && !good)
    status = error_set(error, VQCT_DATA,
                       "%s:%llu: expected an object whose \"%s\" is a string, a list of strings or "
                       "null",
                       name, number, reader->column);
  *found |= value != NULL;
  json_decref(object);
  return status;
}

enum vqct_status captions_read_json_lines(const struct caption_reader *reader,
                                          struct vqct_error *error) {
  struct text_line line;
  enum vqct_status status;
  bool found = false;
  while ((status = byte_stream_line(reader->stream, &line, error)) == VQCT_OK && line.text) {
    bool blank = true;
    for (size_t i = 0; i < line.length && blank; i++)
      blank = (unsigned char)line.text[i] <= ' ';
    if (!blank && (status = read_json_line(reader, &line, &found, error)) != VQCT_OK)
      return status;
  }
  if (status != VQCT_OK)
    return status;
  if (!found)
    return error_set(error, VQCT_DATA, "%s: no line has the key \"%s\"; --column names another",
                     byte_stream_name(reader->stream), reader->column);
  return VQCT_OK;
}
