/* A pull parser with one bit per open container (object or array) and one state:
 *
 *   "{" -> EXPECT_FIRST_KEY    "[" -> EXPECT_FIRST_VALUE    key and ":" -> EXPECT_VALUE
 *   scalar or end of a container -> AFTER_VALUE, or DONE behind the outermost value
 *   AFTER_VALUE and "," -> the next key or value is read at once
 *
 * Bytes come in blocks from a byte_stream; `next` and `end` point into the current block. The text
 * of a string or number is gathered in `text`, since it may cross blocks.
 */
#include "json_stream.h"

#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "error.h"
#include "utf8.h"

#define TEXT_INITIAL ((size_t)256)
#define END_OF_FILE  (-1)

enum state {
  EXPECT_VALUE,
  EXPECT_FIRST_VALUE, /* just after "[": a value or "]" */
  EXPECT_FIRST_KEY,   /* just after "{": a key or "}" */
  AFTER_VALUE,
  DONE
};

struct json_stream {
  struct byte_stream *bytes;
  const char *next, *end;
  enum state state;
  size_t depth;
  uint64_t objects;          /* bit d: the container at depth d is an object */
  uint64_t line, line_start; /* line from 1; bytes of the file before the line */
  uint64_t block_start;      /* bytes of the file before the current block */
  const char *block;
  char *text; /* text_capacity + 1 bytes */
  size_t text_length, text_capacity;
};

_Static_assert(JSON_DEPTH_MAX <= 64, "one bit a level");

enum vqct_status json_stream_open(struct byte_stream *bytes, struct json_stream **result,
                                  struct vqct_error *error) {
  struct json_stream *json = calloc(1, sizeof *json);
  char *text = malloc(TEXT_INITIAL + 1);
  *result = json;
  if (!json || !text) {
    free(text);
    free(json);
    *result = NULL;
    return error_set(error, VQCT_MEMORY, "%s: no memory to read it", byte_stream_name(bytes));
  }
  json->bytes = bytes;
  json->line = 1;
  json->text = text;
  json->text[0] = '\0';
  json->text_capacity = TEXT_INITIAL;
  return VQCT_OK;
}

void json_stream_close(struct json_stream *json) {
  if (!json)
    return;
  free(json->text);
  free(json);
}

enum vqct_status json_stream_fault(const struct json_stream *json, const char *expected,
                                   struct vqct_error *error) {
  uint64_t offset = json->block_start + (uint64_t)(json->next - json->block);
  return error_set(error, VQCT_DATA, "%s:%llu: byte %llu: expected %s",
                   byte_stream_name(json->bytes), (unsigned long long)json->line,
                   (unsigned long long)(offset - json->line_start + 1), expected);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* *c = the next byte, left where it is, or END_OF_FILE. */
static enum vqct_status peek(struct json_stream *json, int *c, struct vqct_error *error) {
  if (json->next == json->end) {
    json->block_start += (uint64_t)(json->end - json->block);
    size_t size;
    enum vqct_status status = byte_stream_block(json->bytes, &json->next, &size, error);
    json->block = json->next;
    json->end = size ? json->next + size : json->next;
    if (status != VQCT_OK)
      return status;
    if (!size) {
      *c = END_OF_FILE;
      return VQCT_OK;
    }
  }
  *c = (unsigned char)*json->next;
  return VQCT_OK;
}

/* Passes over white space; *c as peek gives it. */
static enum vqct_status peek_token(struct json_stream *json, int *c, struct vqct_error *error) {
  for (;;) {
    enum vqct_status status = peek(json, c, error);
    if (status != VQCT_OK || (*c != ' ' && *c != '\n' && *c != '\r' && *c != '\t'))
      return status;
    json->next++;
    if (*c == '\n') {
      json->line++;
      json->line_start = json->block_start + (uint64_t)(json->next - json->block);
    }
  }
}

static enum vqct_status reserve_text(struct json_stream *json, size_t more,
                                     struct vqct_error *error) {
  size_t size = json->text_length + more;
  if (size <= json->text_capacity)
    return VQCT_OK;
  if (size > JSON_TEXT_MAX)
    return error_set(error, VQCT_LIMIT, "%s:%llu: a string or number of over %zu bytes",
                     byte_stream_name(json->bytes), (unsigned long long)json->line, JSON_TEXT_MAX);
  size_t capacity = json->text_capacity;
  while (capacity < size)
    capacity *= 2;
  char *text = realloc(json->text, capacity + 1);
  if (!text)
    return error_set(error, VQCT_MEMORY, "%s:%llu: no memory for a string",
                     byte_stream_name(json->bytes), (unsigned long long)json->line);
  json->text = text;
  json->text_capacity = capacity;
  return VQCT_OK;
}

static enum vqct_status text_append(struct json_stream *json, const char *bytes, size_t size,
                                    struct vqct_error *error) {
  enum vqct_status status = reserve_text(json, size, error);
  if (status != VQCT_OK)
    return status;
  memcpy(json->text + json->text_length, bytes, size);
  json->text_length += size;
  return VQCT_OK;
}

/* ---- strings --------------------------------------------------------------------------------- */

/* Four hexadecimal digits. */
static enum vqct_status read_hex(struct json_stream *json, uint32_t *unit,
                                 struct vqct_error *error) {
  *unit = 0;
  for (int i = 0; i < 4; i++) {
    int c;
    enum vqct_status status = peek(json, &c, error);
    if (status != VQCT_OK)
      return status;
    uint32_t digit;
    if (c >= '0' && c <= '9')
      digit = (uint32_t)(c - '0');
    else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
      digit = (uint32_t)((c | 0x20) - 'a' + 10);
    else
      return json_stream_fault(json, "four hexadecimal digits", error);
    *unit = *unit << 4 | digit;
    json->next++;
  }
  return VQCT_OK;
}

static enum vqct_status expect_byte(struct json_stream *json, char byte, const char *expected,
                                    struct vqct_error *error) {
  int c;
  enum vqct_status status = peek(json, &c, error);
  if (status != VQCT_OK)
    return status;
  if (c != byte)
    return json_stream_fault(json, expected, error);
  json->next++;
  return VQCT_OK;
}

/* The escape behind "\u": one unit, or a pair of surrogates. */
static enum vqct_status read_unicode(struct json_stream *json, struct vqct_error *error) {
  uint32_t point, low;
  enum vqct_status status = read_hex(json, &point, error);
  if (status != VQCT_OK)
    return status;
  if (point >= 0xdc00 && point <= 0xdfff)
    return json_stream_fault(json, "a first surrogate before a second one", error);
  if (point >= 0xd800 && point <= 0xdbff) {
    static const char second[] = "a second surrogate";
    if ((status = expect_byte(json, '\\', second, error)) != VQCT_OK ||
        (status = expect_byte(json, 'u', second, error)) != VQCT_OK ||
        (status = read_hex(json, &low, error)) != VQCT_OK)
      return status;
    if (low < 0xdc00 || low > 0xdfff)
      return json_stream_fault(json, second, error);
    point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
  }
  char bytes[4];
  size_t size = utf8_encode(point, bytes);
  return text_append(json, bytes, size, error);
}

static enum vqct_status read_escape(struct json_stream *json, struct vqct_error *error) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  int c;
  enum vqct_status status = peek(json, &c, error);
  if (status != VQCT_OK)
    return status;
  if (c == 'u') {
    json->next++;
    return read_unicode(json, error);
  }
  const char *name = c > 0 ? strchr(names, c) : NULL;
  if (!name)
    return json_stream_fault(json, "an escape such as \\n or \\u00e9", error);
  json->next++;
  return text_append(json, values + (name - names), 1, error);
}

/* A character of several bytes: no overlong form, no surrogate, nothing above U+10FFFF. */
static enum vqct_status read_multibyte(struct json_stream *json, struct vqct_error *error) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  unsigned char lead = (unsigned char)*json->next;
  size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4)
    return json_stream_fault(json, "valid UTF-8", error);
  char bytes[4] = {(char)lead};
  uint32_t point = lead & (0x7fu >> size);
  json->next++;
  for (size_t i = 1; i < size; i++) {
    int c;
    enum vqct_status status = peek(json, &c, error);
    if (status != VQCT_OK)
      return status;
    if (c < 0x80 || c > 0xbf)
      return json_stream_fault(json, "valid UTF-8", error);
    bytes[i] = (char)c;
    point = point << 6 | (uint32_t)(c & 0x3f);
    json->next++;
  }
  if (point < least[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
    return json_stream_fault(json, "valid UTF-8", error);
  return text_append(json, bytes, size, error);
}

/* Appends the plain characters at hand: printable ASCII without quote and backslash. */
static enum vqct_status read_plain(struct json_stream *json, struct vqct_error *error) {
  const char *from = json->next;
  while (json->next < json->end) {
    unsigned char c = (unsigned char)*json->next;
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
      break;
    json->next++;
  }
  return text_append(json, from, (size_t)(json->next - from), error);
}

/* A string, from its first quote to behind its last. */
static enum vqct_status read_string(struct json_stream *json, struct vqct_error *error) {
  json->next++;
  json->text_length = 0;
  for (;;) {
    int c;
    enum vqct_status status = peek(json, &c, error);
    if (status != VQCT_OK)
      return status;
    if (c == '"')
      break;
    if (c == END_OF_FILE)
      return json_stream_fault(json, "the end of a string", error);
    if (c < 0x20)
      return json_stream_fault(json, "no control character in a string", error);
    if (c == '\\') {
      json->next++;
      status = read_escape(json, error);
    } else if (c >= 0x80) {
      status = read_multibyte(json, error);
    } else {
      status = read_plain(json, error);
    }
    if (status != VQCT_OK)
      return status;
  }
  json->next++;
  json->text[json->text_length] = '\0';
  return VQCT_OK;
}

/* ---- numbers and words ----------------------------------------------------------------------- */

static const char *skip_digits(const char *text) {
  while (*text >= '0' && *text <= '9')
    text++;
  return text;
}

/* RFC 8259: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static bool is_number(const char *text) {
  text += *text == '-';
  const char *whole = text;
  text = skip_digits(text);
  if (text == whole || (*whole == '0' && text > whole + 1))
    return false;
  if (*text == '.') {
    const char *fraction = ++text;
    text = skip_digits(text);
    if (text == fraction)
      return false;
  }
  if (*text == 'e' || *text == 'E') {
    text++;
    text += *text == '-' || *text == '+';
    const char *exponent = text;
    text = skip_digits(text);
    if (text == exponent)
      return false;
  }
  return *text == '\0';
}

static bool number_byte(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static enum vqct_status read_number(struct json_stream *json, struct vqct_error *error) {
  json->text_length = 0;
  for (;;) {
    int c;
    enum vqct_status status = peek(json, &c, error);
    if (status != VQCT_OK)
      return status;
    const char *from = json->next;
    while (json->next < json->end && number_byte(*json->next))
      json->next++;
    if (json->next == from)
      break;
    status = text_append(json, from, (size_t)(json->next - from), error);
    if (status != VQCT_OK)
      return status;
  }
  json->text[json->text_length] = '\0';
  if (!is_number(json->text))
    return json_stream_fault(json, "a number", error);
  if (json->text_length > DECIMAL_LENGTH_MAX)
    return error_set(error, VQCT_LIMIT, "%s:%llu: a number of over %zu bytes",
                     byte_stream_name(json->bytes), (unsigned long long)json->line,
                     DECIMAL_LENGTH_MAX);
  return VQCT_OK;
}

static enum vqct_status read_word(struct json_stream *json, const char *word,
                                  struct vqct_error *error) {
  json->text_length = 0;
  json->text[0] = '\0';
  for (; *word; word++) {
    enum vqct_status status = expect_byte(json, *word, "true, false or null", error);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

/* ---- structure ------------------------------------------------------------------------------- */

static bool in_object(const struct json_stream *json) {
  return json->objects >> (json->depth - 1) & 1;
}

static enum vqct_status begin_container(struct json_stream *json, bool object,
                                        struct vqct_error *error) {
  if (json->depth == JSON_DEPTH_MAX)
    return error_set(error, VQCT_LIMIT, "%s:%llu: more than %zu levels of JSON",
                     byte_stream_name(json->bytes), (unsigned long long)json->line, JSON_DEPTH_MAX);
  json->next++;
  uint64_t bit = (uint64_t)1 << json->depth++;
  json->objects = object ? json->objects | bit : json->objects & ~bit;
  json->state = object ? EXPECT_FIRST_KEY : EXPECT_FIRST_VALUE;
  return VQCT_OK;
}

static void end_value(struct json_stream *json) {
  json->state = json->depth ? AFTER_VALUE : DONE;
}

static enum json_event end_container(struct json_stream *json) {
  enum json_event event = in_object(json) ? JSON_EVENT_OBJECT_END : JSON_EVENT_ARRAY_END;
  json->next++;
  json->depth--;
  end_value(json);
  return event;
}

static enum vqct_status read_value(struct json_stream *json, int c, enum json_event *event,
                                   struct vqct_error *error) {
  enum vqct_status status;
  if (c == '{' || c == '[') {
    *event = c == '{' ? JSON_EVENT_OBJECT_BEGIN : JSON_EVENT_ARRAY_BEGIN;
    return begin_container(json, c == '{', error);
  }
  if (c == '"') {
    *event = JSON_EVENT_STRING;
    status = read_string(json, error);
  } else if (c == 't' || c == 'f' || c == 'n') {
    *event = c == 't' ? JSON_EVENT_TRUE : c == 'f' ? JSON_EVENT_FALSE : JSON_EVENT_NULL;
    status = read_word(json, c == 't' ? "true" : c == 'f' ? "false" : "null", error);
  } else if (c == '-' || (c >= '0' && c <= '9')) {
    *event = JSON_EVENT_NUMBER;
    status = read_number(json, error);
  } else {
    return json_stream_fault(json, "a value", error);
  }
  end_value(json);
  return status;
}

static enum vqct_status read_key(struct json_stream *json, int c, enum json_event *event,
                                 struct vqct_error *error) {
  if (c != '"')
    return json_stream_fault(json, "a key in quotes", error);
  *event = JSON_EVENT_KEY;
  enum vqct_status status;
  if ((status = read_string(json, error)) || (status = peek_token(json, &c, error)))
    return status;
  json->state = EXPECT_VALUE;
  return expect_byte(json, ':', "\":\" after a key", error);
}

/* Behind a value in a container: the container's end, or a comma and what follows it. */
static enum vqct_status read_after_value(struct json_stream *json, int c, enum json_event *event,
                                         struct vqct_error *error) {
  bool object = in_object(json);
  if (c == (object ? '}' : ']')) {
    *event = end_container(json);
    return VQCT_OK;
  }
  if (c != ',')
    return json_stream_fault(json, object ? "\",\" or \"}\"" : "\",\" or \"]\"", error);
  json->next++;
  enum vqct_status status = peek_token(json, &c, error);
  if (status != VQCT_OK)
    return status;
  return object ? read_key(json, c, event, error) : read_value(json, c, event, error);
}

enum vqct_status json_stream_next(struct json_stream *json, enum json_event *event,
                                  struct vqct_error *error) {
  *event = JSON_EVENT_END;
  int c;
  enum vqct_status status = peek_token(json, &c, error);
  if (status != VQCT_OK)
    return status;
  switch (json->state) {
  case EXPECT_FIRST_VALUE:
  case EXPECT_FIRST_KEY:
    if (c == (json->state == EXPECT_FIRST_KEY ? '}' : ']')) {
      *event = end_container(json);
      return VQCT_OK;
    }
    return json->state == EXPECT_FIRST_KEY ? read_key(json, c, event, error)
                                           : read_value(json, c, event, error);
  case EXPECT_VALUE:
    return read_value(json, c, event, error);
  case AFTER_VALUE:
    return read_after_value(json, c, event, error);
  case DONE:
    break;
  }
  return c == END_OF_FILE ? VQCT_OK : json_stream_fault(json, "the end of the file", error);
}

enum vqct_status json_stream_skip(struct json_stream *json, struct vqct_error *error) {
  size_t depth = json->depth;
  enum json_event event;
  do {
    enum vqct_status status = json_stream_next(json, &event, error);
    if (status != VQCT_OK)
      return status;
    if (json->depth < depth || event == JSON_EVENT_END)
      return json_stream_fault(json, "a value", error);
  } while (json->depth > depth);
  return VQCT_OK;
}

/* ---- what was read --------------------------------------------------------------------------- */

const char *json_stream_text(const struct json_stream *json, size_t *length) {
  *length = json->text_length;
  return json->text;
}

bool json_stream_text_is(const struct json_stream *json, const char *text) {
  return json->text_length == strlen(text) && !memcmp(json->text, text, json->text_length);
}

double json_stream_number(const struct json_stream *json) {
  double value = 0;
  decimal_parse(json->text, json->text_length, &value);
  return value;
}
