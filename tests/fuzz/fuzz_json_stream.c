/* Whatever bytes arrive as JSON: read piece by piece, they are accepted exactly where jansson
 * accepts the whole, apart from what either limits. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "json_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition)
    abort();
}

/* Reads all pieces; containers must be closed in the order in which they were opened. */
static enum vqct_status read_pieces(struct json_stream *json, struct vqct_error *error) {
  char open[JSON_DEPTH_MAX];
  size_t depth = 0;
  for (;;) {
    enum json_event event;
    enum vqct_status status = json_stream_next(json, &event, error);
    if (status != VQCT_OK)
      return status;
    size_t length;
    demand(strlen(json_stream_text(json, &length)) <= length);
    demand(length <= JSON_TEXT_MAX);
    if (event == JSON_EVENT_OBJECT_BEGIN || event == JSON_EVENT_ARRAY_BEGIN) {
      demand(depth < JSON_DEPTH_MAX);
      open[depth++] = event == JSON_EVENT_OBJECT_BEGIN;
    } else if (event == JSON_EVENT_OBJECT_END || event == JSON_EVENT_ARRAY_END) {
      demand(depth > 0 && open[--depth] == (event == JSON_EVENT_OBJECT_END));
    } else if (event == JSON_EVENT_KEY) {
      demand(depth > 0 && open[depth - 1]);
    } else if (event == JSON_EVENT_NUMBER) {
      double value = json_stream_number(json);
      demand(value == value);
    } else if (event == JSON_EVENT_END) {
      demand(depth == 0);
      return VQCT_OK;
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct byte_stream *bytes;
  struct json_stream *json;
  struct vqct_error error;
  demand(byte_stream_open_memory("json", data, size, 1, &bytes, &error) == VQCT_OK);
  demand(json_stream_open(bytes, &json, &error) == VQCT_OK);
  enum vqct_status status = read_pieces(json, &error);
  json_stream_close(json);
  byte_stream_close(bytes);
  json_error_t fault;
  json_t *tree = json_loadb((const char *)data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &fault);
  if (tree && !memchr(data, 0, size)) /* jansson takes a zero byte for the end of the text */
    demand(status == VQCT_OK || status == VQCT_LIMIT);
  else if (!tree && status == VQCT_OK) /* jansson refuses numbers beyond 64 bits or a double */
    demand(json_error_code(&fault) == json_error_numeric_overflow);
  json_decref(tree);
  return 0;
}
