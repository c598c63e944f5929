/* All three leave bytes: \u escapes and Latin-1 become UTF-8 in protocol 0's texts; \x escapes
 * become bytes in Python 2's; and UTF-8 of Latin-1's characters becomes the bytes that
 * _codecs.encode would give. */
#include "pickle_text.h"

#include <stdint.h>
#include <string.h>

#include "utf8.h"

#define POINT_MOST 0x10FFFF

/* A number of so many hexadecimal digits. */
static bool read_hex(const char *from, size_t length, size_t digits, uint32_t *number) {
  *number = 0;
  if (length < digits)
    return false;
  for (size_t i = 0; i < digits; i++) {
    char c = from[i];
    uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
    if (digit == 16)
      return false;
    *number = *number << 4 | digit;
  }
  return true;
}

bool pickle_text_raw(const char *from, size_t length, char *to, size_t *size) {
  *size = 0;
  for (size_t i = 0; i < length; i++) {
    uint32_t point = (unsigned char)from[i];
    bool escape = point == '\\' && i + 1 < length;
    if (escape && (from[i + 1] == 'u' || from[i + 1] == 'U')) {
      size_t digits = from[i + 1] == 'u' ? 4 : 8;
      if (!read_hex(from + i + 2, length - i - 2, digits, &point) || point > POINT_MOST)
        return false;
      i += 1 + digits;
    } else if (escape) { /* both stand for themselves */
      to[(*size)++] = from[i++];
      point = (unsigned char)from[i];
    }
    *size += utf8_encode(point, to + *size);
  }
  return true;
}

bool pickle_text_printed(const char *from, size_t length, char *to, size_t *size) {
  static const char escapes[] = "\\'\"nrt", bytes[] = "\\'\"\n\r\t";
  *size = 0;
  for (size_t i = 0; i < length; i++) {
    uint32_t byte = (unsigned char)from[i];
    if (byte == '\\') {
      const char *escape = ++i < length && from[i] ? strchr(escapes, from[i]) : NULL;
      if (escape) {
        byte = (unsigned char)bytes[escape - escapes];
      } else {
        if (i == length || from[i] != 'x' || !read_hex(from + i + 1, length - i - 1, 2, &byte))
          return false;
        i += 2;
      }
    }
    to[(*size)++] = (char)byte;
  }
  return true;
}

bool pickle_text_latin1(const char *from, size_t length, char *to, size_t *size) {
  *size = 0;
  for (size_t i = 0; i < length; i++) {
    unsigned byte = (unsigned char)from[i];
    if (byte >= 0x80) { /* two bytes of which the first has the upper two bits */
      if ((byte != 0xc2 && byte != 0xc3) || ++i == length ||
          ((unsigned char)from[i] & 0xc0) != 0x80)
        return false;
      byte = (byte & 3) << 6 | ((unsigned char)from[i] & 0x3f);
    }
    to[(*size)++] = (char)byte;
  }
  return true;
}
