#include "base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct text *text, const void *data, size_t size) {
  const unsigned char *bytes = data;
  if (size > SIZE_MAX / 2 || !text_reserve(text, size / 3 * 4 + 4)) {
    text->failed = true;
    return;
  }
  char *out = text->data + text->size;
  for (size_t i = 0; i < size; i += 3) {
    size_t left = size - i;
    uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                     (left > 2 ? bytes[i + 2] : 0u);
    *out++ = alphabet[group >> 18];
    *out++ = alphabet[group >> 12 & 63];
    *out++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
    *out++ = left > 2 ? alphabet[group & 63] : '=';
  }
  text->size = (size_t)(out - text->data);
  *out = '\0';
}

size_t base64_decoded_size(size_t size) {
  return size / 4 * 3;
}

static int value_of(char c) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(const char *text, size_t size, unsigned char *data, size_t *decoded) {
  *decoded = 0;
  if (size % 4)
    return false;
  size_t padding = size && text[size - 1] == '=' ? 1 + (text[size - 2] == '=') : 0;
  for (size_t i = 0; i < size; i += 4) {
    size_t given = i + 4 == size ? 4 - padding : 4;
    uint32_t group = 0;
    for (size_t j = 0; j < 4; j++) {
      int value = j < given ? value_of(text[i + j]) : 0;
      if (value < 0)
        return false;
      group = group << 6 | (uint32_t)value;
    }
    for (size_t j = 0; j + 1 < given; j++)
      data[(*decoded)++] = (unsigned char)(group >> (16 - 8 * j));
  }
  return true;
}
