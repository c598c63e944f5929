/* By the table of well-formed bytes in Unicode's chapter 3: the first byte tells the length, the
 * second shows what is overlong, a surrogate or too large. Lower case is a rule for Latin letters
 * only, without tables or locale, so that words are the same on every machine. */
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

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

size_t utf8_valid_bytes(const char *text) {
  size_t bytes = utf8_character_bytes((unsigned char)*text);
  for (size_t i = 1; i < bytes; i++)
    if (!text[i])
      return 0;
  return bytes && utf8_is_valid(text, bytes) ? bytes : 0;
}

bool utf8_is_printable(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
      return false;
  return utf8_is_valid(text, length);
}

size_t utf8_encode(uint32_t point, char *bytes) {
  if (point < 0x80) {
    bytes[0] = (char)point;
    return 1;
  }
  size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  static const uint32_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = size - 1; i > 0; i--, point >>= 6)
    bytes[i] = (char)(0x80 | (point & 0x3f));
  bytes[0] = (char)(lead[size] | point);
  return size;
}

/* The lower case of a letter of Latin-1 or Latin Extended-A; other characters are unchanged. */
static unsigned latin_lower(unsigned character) {
  if (character >= 0xc0 && character <= 0xde && character != 0xd7)
    return character + 0x20;
  bool even_is_upper = (character >= 0x100 && character <= 0x12f) ||
                       (character >= 0x132 && character <= 0x137) ||
                       (character >= 0x14a && character <= 0x177);
  bool odd_is_upper =
      (character >= 0x139 && character <= 0x148) || (character >= 0x179 && character <= 0x17e);
  if ((even_is_upper && character % 2 == 0) || (odd_is_upper && character % 2 == 1))
    return character + 1;
  return character == 0x178 ? 0xff : character;
}

size_t utf8_lower(char *text, size_t length) {
  size_t to = 0;
  for (size_t from = 0; from < length;) {
    unsigned char first = (unsigned char)text[from];
    size_t bytes = utf8_character_bytes(first);
    if (bytes == 1) {
      text[to++] = (char)(first >= 'A' && first <= 'Z' ? first + 0x20 : first);
    } else if (bytes == 2 && first <= 0xc5) {
      unsigned lower = latin_lower((first & 0x1fu) << 6 | ((unsigned char)text[from + 1] & 0x3fu));
      text[to++] = (char)(0xc0 | lower >> 6);
      text[to++] = (char)(0x80 | (lower & 0x3f));
    } else if (bytes == 3 && !memcmp(text + from, "\xe2\x80\x99", 3)) {
      text[to++] = '\'';
    } else {
      memmove(text + to, text + from, bytes);
      to += bytes;
    }
    from += bytes;
  }
  return to;
}

static bool is_control(const char *text, size_t bytes) {
  unsigned char first = (unsigned char)text[0];
  return bytes == 1 ? first < 0x20 || first == 0x7f
                    : bytes == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0;
}

char *utf8_escape(const char *text, bool controls) {
  static const char digits[] = "0123456789abcdef";
  size_t length = strlen(text);
  char *escaped = length < SIZE_MAX / 4 ? malloc(4 * length + 1) : NULL, *to = escaped;
  while (escaped && *text) {
    size_t bytes = utf8_valid_bytes(text);
    if (bytes && !(controls && is_control(text, bytes))) {
      memcpy(to, text, bytes);
      to += bytes;
      text += bytes;
      continue;
    }
    for (bytes = bytes ? bytes : 1; bytes; bytes--, text++) {
      *to++ = '\\';
      *to++ = 'x';
      *to++ = digits[(unsigned char)*text >> 4];
      *to++ = digits[(unsigned char)*text & 15];
    }
  }
  if (escaped)
    *to = 0;
  return escaped;
}
