/* Reading JSON of any size piece by piece, without building a tree.
 *
 *   struct json_stream *json;
 *   enum json_event event;
 *   json_stream_open(bytes, &json, &error);
 *   while (json_stream_next(json, &event, &error) == VQCT_OK && event != JSON_EVENT_END)
 *     if (event == JSON_EVENT_KEY && json_stream_text_is(json, "annotations"))
 *       read_annotations(json);
 *   json_stream_close(json);
 *
 * The whole document is checked against RFC 8259: one value, valid UTF-8, valid numbers, and
 * bounds on depth and on the length of one string or number, so that memory is bounded whatever the
 * file holds. Duplicate keys are passed on as they come. One thread uses a stream.
 */
#ifndef IO_JSON_STREAM_H
#define IO_JSON_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "byte_stream.h"

#define JSON_DEPTH_MAX ((size_t)64)
#define JSON_TEXT_MAX  ((size_t)1 << 20) /* bytes of one string; a number: DECIMAL_LENGTH_MAX */

struct json_stream;

enum json_event {
  JSON_EVENT_END, /* the document is complete and nothing follows it */
  JSON_EVENT_OBJECT_BEGIN,
  JSON_EVENT_OBJECT_END,
  JSON_EVENT_ARRAY_BEGIN,
  JSON_EVENT_ARRAY_END,
  JSON_EVENT_KEY,
  JSON_EVENT_STRING,
  JSON_EVENT_NUMBER,
  JSON_EVENT_TRUE,
  JSON_EVENT_FALSE,
  JSON_EVENT_NULL
};

/** Starts reading `bytes`, which must not have been read from yet, stays the caller's and must
 * outlive the reader. Errors: MEMORY. */
enum vqct_status json_stream_open(struct byte_stream *bytes, struct json_stream **json,
                                  struct vqct_error *error);

/** Frees the reader; NULL is allowed. */
void json_stream_close(struct json_stream *json);

/** The next piece. After JSON_EVENT_END it is JSON_EVENT_END again. After an error the stream must
 * not be read further. Errors: DATA (not JSON; file, line and byte named), LIMIT, READ, MEMORY. */
enum vqct_status json_stream_next(struct json_stream *json, enum json_event *event,
                                  struct vqct_error *error);

/** Passes over the value that follows: a whole object or array, or one scalar. Call it after a
 * JSON_EVENT_KEY, or in an array. Where the array ends instead, that is an error of the caller and
 * reported as DATA. Errors as json_stream_next. */
enum vqct_status json_stream_skip(struct json_stream *json, struct vqct_error *error);

/** The characters of the last key, string or number, valid until the next piece is read: UTF-8,
 * escapes resolved, NUL-terminated (but "\u0000" may stand inside). */
const char *json_stream_text(const struct json_stream *json, size_t *length);

/** Whether the last key or string equals `text`. */
bool json_stream_text_is(const struct json_stream *json, const char *text);

/** The value of the last JSON_EVENT_NUMBER; infinite where it is too large for a double. */
double json_stream_number(const struct json_stream *json);

/** A DATA error that names the file, line and byte where the reader stands, for a document that is
 * JSON but not what the caller expects. */
enum vqct_status json_stream_fault(const struct json_stream *json, const char *expected,
                                   struct vqct_error *error);

#endif
