/* CLIP's pattern divides by Unicode's classes of letters and numbers. This table has ranges instead
 * of all of Unicode: what is not listed counts as a letter, so no byte of a text is ever lost. */
#include "bpe_split.h"

#include <stdint.h>
#include <string.h>

enum class { CLASS_SPACE, CLASS_LETTER, CLASS_NUMBER, CLASS_MARK };

/* The code points from U+0080 on that are no letters, in order. */
static const struct {
  uint32_t first, last;
  enum class class;
} ranges[] = {
    {0x80, 0x84, CLASS_MARK},       {0x85, 0x85, CLASS_SPACE},      {0x86, 0x9f, CLASS_MARK},
    {0xa0, 0xa0, CLASS_SPACE},      {0xa1, 0xa9, CLASS_MARK},       {0xab, 0xb1, CLASS_MARK},
    {0xb2, 0xb3, CLASS_NUMBER},     {0xb4, 0xb4, CLASS_MARK},       {0xb6, 0xb8, CLASS_MARK},
    {0xb9, 0xb9, CLASS_NUMBER},     {0xbb, 0xbb, CLASS_MARK},       {0xbc, 0xbe, CLASS_NUMBER},
    {0xbf, 0xbf, CLASS_MARK},       {0xd7, 0xd7, CLASS_MARK},       {0xf7, 0xf7, CLASS_MARK},
    {0x2c2, 0x2c5, CLASS_MARK},     {0x2d2, 0x2df, CLASS_MARK},     {0x300, 0x36f, CLASS_MARK},
    {0x483, 0x489, CLASS_MARK},     {0x591, 0x5c7, CLASS_MARK},     {0x600, 0x61f, CLASS_MARK},
    {0x64b, 0x65f, CLASS_MARK},     {0x660, 0x669, CLASS_NUMBER},   {0x6f0, 0x6f9, CLASS_NUMBER},
    {0x966, 0x96f, CLASS_NUMBER},   {0xe50, 0xe59, CLASS_NUMBER},   {0x1680, 0x1680, CLASS_SPACE},
    {0x2000, 0x200a, CLASS_SPACE},  {0x200b, 0x2027, CLASS_MARK},   {0x2028, 0x2029, CLASS_SPACE},
    {0x202a, 0x202e, CLASS_MARK},   {0x202f, 0x202f, CLASS_SPACE},  {0x2030, 0x205e, CLASS_MARK},
    {0x205f, 0x205f, CLASS_SPACE},  {0x2060, 0x206f, CLASS_MARK},   {0x2070, 0x2070, CLASS_NUMBER},
    {0x2074, 0x2079, CLASS_NUMBER}, {0x207a, 0x207e, CLASS_MARK},   {0x2080, 0x2089, CLASS_NUMBER},
    {0x208a, 0x208e, CLASS_MARK},   {0x20a0, 0x20ff, CLASS_MARK},   {0x2150, 0x218b, CLASS_NUMBER},
    {0x2190, 0x245f, CLASS_MARK},   {0x2460, 0x249b, CLASS_NUMBER}, {0x249c, 0x24e9, CLASS_MARK},
    {0x24ea, 0x24ff, CLASS_NUMBER}, {0x2500, 0x2775, CLASS_MARK},   {0x2776, 0x2793, CLASS_NUMBER},
    {0x2794, 0x2bff, CLASS_MARK},   {0x3000, 0x3000, CLASS_SPACE},  {0x3001, 0x3004, CLASS_MARK},
    {0x3008, 0x3020, CLASS_MARK},   {0xe000, 0xf8ff, CLASS_MARK},   {0xfe00, 0xfe6f, CLASS_MARK},
    {0xff01, 0xff0f, CLASS_MARK},   {0xff10, 0xff19, CLASS_NUMBER}, {0xff1a, 0xff20, CLASS_MARK},
    {0x1f000, 0x1faff, CLASS_MARK},
};

static enum class class_beyond_ascii(uint32_t point) {
  size_t low = 0, high = sizeof ranges / sizeof *ranges;
  while (low < high){size_t middle = (low + high) / 2;
                     if (ranges[middle].last < point) low = middle + 1; else high = middle;}
return low < sizeof ranges / sizeof *ranges && point >= ranges[low].first ? ranges[low].class
                                                                          : CLASS_LETTER;
}

/* The class of the character at text[*at], of which *at moves to the end. */
static enum class next_class(const char *text, size_t length, size_t *at) {
  unsigned char lead = (unsigned char)text[(*at)++];
  if (lead < 0x80){if (lead == ' ' || (lead >= '\t' && lead <= '\r') ||
                       (lead >= 0x1c && lead <= 0x1f)) return CLASS_SPACE;
                   if (lead >= '0' && lead <= '9') return CLASS_NUMBER;
                   return (lead | 0x20) >= 'a' && (lead | 0x20) <= 'z' ? CLASS_LETTER : CLASS_MARK;}
uint32_t point = lead >= 0xf0 ? lead & 7u : lead >= 0xe0 ? lead & 15u : lead & 31u;
while (*at < length && ((unsigned char)text[*at] & 0xc0) == 0x80)
  point = point << 6 | ((unsigned char)text[(*at)++] & 0x3fu);
return class_beyond_ascii(point);
}

/* Bytes of the clitic that text begins with, 0 for none. */
static size_t clitic_length(const char *text, size_t length) {
  static const char *const clitics[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
  for (size_t i = 0; i < sizeof clitics / sizeof *clitics; i++) {
    size_t size = strlen(clitics[i]);
    if (size <= length && !memcmp(text, clitics[i], size))
      return size;
  }
  return 0;
}

bool bpe_split(const char *text, size_t length, size_t *at, const char **word,
               size_t *word_length) {
  size_t begin, end = *at;
  enum class class;
  do {
    begin = end;
    if (begin == length)
      return false;
    class = next_class(text, length, &end);
  } while (class == CLASS_SPACE);
  size_t clitic = clitic_length(text + begin, length - begin);
  if (clitic) {
    end = begin + clitic;
  } else if (class != CLASS_NUMBER) {
    for (size_t next = end; next < length; end = next)
      if (next_class(text, length, &next) != class)
        break;
  }
  *word = text + begin;
  *word_length = end - begin;
  *at = end;
  return true;
}
