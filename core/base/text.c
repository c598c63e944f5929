/* The room doubles, so that adding is linear in the text. What is printed goes through the stack
 * where it fits, so that most prints format once; a longer one formats a second time into its
 * place. */
#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "little_endian.h"
#include "size.h"
#include "utf8.h"

bool text_reserve(struct text *text, size_t size) {
  size_t needed;
  if (text->failed || !size_add(text->size, size, &needed) || !size_add(needed, 1, &needed)) {
    text->failed = true;
    return false;
  }
  if (needed <= text->capacity)
    return true;
  size_t capacity = text->capacity ? text->capacity : 256;
  while (capacity < needed)
    capacity = capacity > SIZE_MAX / 2 ? needed : 2 * capacity;
  char *data = realloc(text->data, capacity);
  if (!data) {
    text->failed = true;
    return false;
  }
  text->data = data;
  text->capacity = capacity;
  return true;
}

void text_add(struct text *text, const void *data, size_t size) {
  if (!text_reserve(text, size))
    return;
  if (size)
    memcpy(text->data + text->size, data, size);
  text->size += size;
  text->data[text->size] = '\0';
}

void text_add_u32(struct text *text, uint32_t value) {
  unsigned char bytes[4];
  little_endian_write(bytes, value);
  text_add(text, bytes, sizeof bytes);
}

void text_print(struct text *text, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  char line[512];
  int length = vsnprintf(line, sizeof line, format, args);
  if (length < 0) {
    text->failed = true;
  } else if ((size_t)length < sizeof line) {
    text_add(text, line, (size_t)length);
  } else if (text_reserve(text, (size_t)length)) {
    vsnprintf(text->data + text->size, (size_t)length + 1, format, again);
    text->size += (size_t)length;
  }
  va_end(again);
  va_end(args);
}

void text_add_json(struct text *text, const char *string) {
  text_add(text, "\"", 1);
  for (const char *c = string; *c;) {
    unsigned char first = (unsigned char)*c;
    size_t length = utf8_valid_bytes(c);
    if (!length)
      text_add(text, "?", 1);
    else if (*c == '"' || *c == '\\')
      text_print(text, "\\%c", *c);
    else if (first < 0x20 || first == 0x7f)
      text_print(text, "\\u%04x", first);
    else
      text_add(text, c, length);
    c += length ? length : 1;
  }
  text_add(text, "\"", 1);
}

void text_free(struct text *text) {
  free(text->data);
  *text = (struct text){0};
}
