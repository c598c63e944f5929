/* One pass from left to right: a word as long as it holds together, its clitic taken off its
 * end, every other character a mark. The tagger learnt from text divided in this way, so another
 * rule here costs accuracy there. */
#include "tokenize.h"

#include <string.h>

#include "utf8.h"

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
