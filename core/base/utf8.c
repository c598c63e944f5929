#include "utf8.h"

size_t utf8_character_bytes(unsigned char first) {
  if (first < 0x80)
    return 1;
  if (first < 0xc2 || first > 0xf4)
    return 0;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Overlong forms, surrogates and numbers over U+10FFFF show in the second byte. */
static bool second_byte_fits(unsigned char first, unsigned char second) {
  switch (first) {
  case 0xe0:
    return second >= 0xa0;
  case 0xed:
    return second < 0xa0;
  case 0xf0:
    return second >= 0x90;
  case 0xf4:
    return second < 0x90;
  default:
    return true;
  }
}

bool utf8_is_valid(const char *text, size_t length) {
  const unsigned char *at = (const unsigned char *)text, *end = at + length;
  while (at < end) {
    size_t bytes = utf8_character_bytes(*at);
    if (bytes == 0 || bytes > (size_t)(end - at) || *at == 0)
      return false;
    for (size_t i = 1; i < bytes; i++)
      if ((at[i] & 0xc0) != 0x80)
        return false;
    if (bytes > 1 && !second_byte_fits(at[0], at[1]))
      return false;
    at += bytes;
  }
  return true;
}

bool utf8_is_printable(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
      return false;
  return utf8_is_valid(text, length);
}
