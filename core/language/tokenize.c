#include "tokenize.h"

#include <string.h>

#include "utf8.h"

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

size_t text_lower(char *text, size_t length) {
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

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* Letters of ASCII and every character beyond it except general punctuation (U+2000 to U+206F). */
static bool is_letter(const char *at, const char *end) {
  unsigned char c = (unsigned char)*at;
  if (c < 0x80)
    return c >= 'a' && c <= 'z';
  return !(end - at >= 2 && c == 0xe2 &&
           ((unsigned char)at[1] == 0x80 || (unsigned char)at[1] == 0x81));
}

static bool is_space(char c) {
  return (unsigned char)c <= ' ' || c == 0x7f;
}

/* The bytes of a single-letter abbreviation such as "u.s." at a word's beginning; 0 for none. */
static size_t abbreviation_length(const char *at, const char *end) {
  size_t length = 0;
  while (end - at >= 2 && *at >= 'a' && *at <= 'z' && at[1] == '.') {
    at += 2;
    length += 2;
  }
  return length >= 4 && (at == end || !is_letter(at, end)) ? length : 0;
}

/* Where a word that begins at `at` ends. */
static const char *word_end(const char *at, const char *end) {
  size_t abbreviation = abbreviation_length(at, end);
  if (abbreviation)
    return at + abbreviation;
  const char *begin = at;
  while (at < end) {
    if (is_digit(*at) || is_letter(at, end)) {
      at += utf8_character_bytes((unsigned char)*at);
      continue;
    }
    bool inside = at > begin && end - at > 1;
    bool holds =
        inside && (*at == '-' || *at == '\'') && (is_digit(at[1]) || is_letter(at + 1, end));
    bool in_number = inside && strchr(",./:", *at) && *at && is_digit(at[-1]) && is_digit(at[1]);
    if (!holds && !in_number)
      break;
    at++;
  }
  return at;
}

/* The bytes that a clitic takes at the end of a word; 0 where there is none. */
static size_t clitic_length(const char *word, size_t length) {
  static const char *const clitics[] = {"n't", "'s", "'re", "'ve", "'ll", "'d", "'m"};
  for (size_t i = 0; i < sizeof clitics / sizeof *clitics; i++) {
    size_t size = strlen(clitics[i]);
    if (length > size && !memcmp(word + length - size, clitics[i], size))
      return size;
  }
  return 0;
}

size_t tokenize(const char *text, size_t length, struct word *words, size_t most) {
  const char *at = text, *end = text + length;
  size_t count = 0;
  while (at < end && count < most) {
    if (is_space(*at)) {
      at++;
      continue;
    }
    const char *stop = word_end(at, end);
    if (stop == at) { /* a mark */
      size_t bytes = utf8_character_bytes((unsigned char)*at);
      words[count++] = (struct word){at, bytes};
      at += bytes;
      continue;
    }
    size_t whole = (size_t)(stop - at), clitic = clitic_length(at, whole);
    words[count++] = (struct word){at, whole - clitic};
    if (clitic && count < most)
      words[count++] = (struct word){stop - clitic, clitic};
    at = stop;
  }
  return count;
}
