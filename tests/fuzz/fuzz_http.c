/* Whatever bytes arrive as a form, as base64, as a header, or as text for JSON: parts
 * that lie within the body, no more bytes than there is room for, choices among what is offered.
 * The first byte says which of them the rest is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "accept.h"
#include "base64.h"
#include "compress.h"
#include "multipart.h"
#include "priority.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition)
    abort();
}

static void check_multipart(const char *body, size_t size) {
  struct multipart multipart;
  struct multipart_part part;
  if (!multipart_begin(&multipart, "b", body, size))
    return;
  const char *last = body;
  while (multipart_next(&multipart, &part) == MULTIPART_PART) {
    demand(part.data >= last && part.size <= (size_t)(body + size - part.data));
    demand(memchr(part.name, '\0', sizeof part.name) != NULL);
    demand(memchr(part.filename, '\0', sizeof part.filename) != NULL);
    last = part.data + part.size;
  }
}

/* What is taken is the same bytes once it is written again in the strict form. */
static void check_base64(const char *text, size_t size) {
  size_t room = base64_decoded_size(size), decoded, same;
  unsigned char *bytes = malloc(room), *twice = malloc(room);
  struct text again = {0};
  if (bytes && twice && base64_decode(text, size, bytes, &decoded)) {
    demand(decoded <= room);
    base64_add(&again, bytes, decoded);
    demand(again.size == (decoded + 2) / 3 * 4 && again.size <= size + 2);
    demand(base64_decode(again.data, again.size, twice, &same));
    demand(same == decoded && !memcmp(bytes, twice, decoded));
  }
  text_free(&again);
  free(twice);
  free(bytes);
}

static void check_headers(const char *value) {
  static const char *const offers[] = {"application/json", "image/png"};
  char parameter[16];
  int chosen = accept_choose(value, offers, 2);
  demand(chosen >= -1 && chosen < 2);
  compress_accepted(value);
  demand(priority_urgency(value) <= URGENCY_MAX);
  content_type_is(value, "multipart/form-data");
  if (content_type_parameter(value, "boundary", parameter, sizeof parameter))
    demand(strlen(parameter) > 0 && strlen(parameter) < sizeof parameter);
}

static void check_json(const char *value) {
  struct text text = {0};
  text_add_json(&text, value);
  json_t *parsed = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
  demand(json_is_string(parsed));
  json_decref(parsed);
  text_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size)
    return 0;
  /* A copy of the exact size for what takes a size, and a string for what takes one. */
  char *bytes = malloc(size), *string = malloc(size);
  if (bytes && string) {
    memcpy(bytes, data + 1, size - 1);
    memcpy(string, data + 1, size - 1);
    string[size - 1] = '\0';
    char *exact = realloc(bytes, size - 1 ? size - 1 : 1);
    bytes = exact ? exact : bytes;
    if (*data % 4 == 0)
      check_multipart(bytes, size - 1);
    else if (*data % 4 == 1)
      check_base64(bytes, size - 1);
    else if (*data % 4 == 2)
      check_headers(string);
    else
      check_json(string);
  }
  free(bytes);
  free(string);
  return 0;
}
