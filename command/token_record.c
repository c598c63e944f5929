#include "token_record.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

/* Sets a member of an object, which is freed where that fails; takes both, which may be NULL. */
static json_t *with(json_t *object, const char *key, json_t *value) {
  if (json_object_set_new(object, key, value) == 0)
    return object;
  json_decref(object);
  return NULL;
}

json_t *token_record_text(const char *text) {
  char *escaped = utf8_escape(text, false);
  json_t *json = escaped ? json_string(escaped) : NULL;
  free(escaped);
  return json;
}

/* The bytes of a name in hexadecimal. */
static json_t *hex_json(const char *name) {
  static const char digits[] = "0123456789abcdef";
  size_t length = strlen(name);
  char *hex = malloc(2 * length + 1);
  if (!hex)
    return NULL;
  for (size_t i = 0; i < length; i++) {
    hex[2 * i] = digits[(unsigned char)name[i] >> 4];
    hex[2 * i + 1] = digits[(unsigned char)name[i] & 15];
  }
  json_t *json = json_stringn(hex, 2 * length);
  free(hex);
  return json;
}

json_t *token_record(const char *name) {
  json_t *record = with(json_object(), "image", token_record_text(name));
  return utf8_is_valid(name, strlen(name)) ? record : with(record, "image_hex", hex_json(name));
}

json_t *token_record_failed(const char *name, const char *message) {
  return with(token_record(name), "error", token_record_text(message));
}

json_t *token_record_passed(const struct pictures *pictures) {
  json_t *passed = json_object();
  for (size_t i = 0; i < pictures_passed(pictures); i++) {
    const struct passed_over *kind = pictures_passed_over(pictures, i);
    passed = with(passed, kind->kind, json_integer((json_int_t)kind->count));
  }
  return passed;
}
