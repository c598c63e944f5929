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
  return size / 4 * 3 + 3;
}

/* Both alphabets of RFC 4648. */
static int value_of(char c) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool base64_decode(const char *text, size_t size, unsigned char *data, size_t *decoded) {
  uint32_t group = 0;
  size_t digits = 0, padding = 0;
  *decoded = 0;
  for (size_t i = 0; i < size; i++) {
    int value = value_of(text[i]);
    if (is_space(text[i]))
      continue;
    padding += text[i] == '=';
    if (text[i] == '=')
      continue;
    if (value < 0 || padding)
      return false;
    group = group << 6 | (uint32_t)value;
    if (++digits % 4)
      continue;
    for (int shift = 16; shift >= 0; shift -= 8)
      data[(*decoded)++] = (unsigned char)(group >> shift);
  }
  size_t left = digits % 4;
  if (left == 1 || (padding && padding != (4 - left) % 4))
    return false;
  for (size_t i = 0; i + 1 < left; i++)
    data[(*decoded)++] = (unsigned char)(group << (24 - 6 * left) >> (16 - 8 * i));
  return true;
}
