/* A word's own hashes are made once, the templates without tags once a position, and only those
 * with tags while tags are chosen. Neither hashes nor the numbers of templates are to change:
 * weights of trained taggers are kept under them.
 */
#include "pos_features.h"

#include <string.h>

#include "hash.h"

#define FORM_MAX ((size_t)64) /* bytes of a word that count */

/* What stands before the first and behind the last word. */
static const struct pos_word beyond[3] = {{.form = 1, .wordnet = 1u << 16},
                                          {.form = 2, .wordnet = 1u << 17},
                                          {.form = 3, .wordnet = 1u << 18}};

/* The tags before the first word. */
enum { TAG_BEFORE = 255 };

/* Digits look alike, and long numbers too. */
static size_t form_text(const struct word *word, char text[FORM_MAX], uint32_t *shape) {
  size_t length = word->length < FORM_MAX ? word->length : FORM_MAX;
  *shape = 0;
  for (size_t i = 0; i < length; i++) {
    char c = word->text[i];
    bool digit = c >= '0' && c <= '9', letter = (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
    text[i] = digit ? '0' : c;
    *shape |= digit ? 1u : letter ? 2u : c == '-' && length > 1 ? 8u : 4u;
  }
  if ((*shape & 1u) && length > 6) {
    memcpy(text, "000000+", 7);
    return 7;
  }
  return length;
}

static uint32_t base_parts(const struct lexicon *lexicon, const char *text, size_t length,
                           const char *ending) {
  char base[FORM_MAX + 4];
  size_t extra = strlen(ending);
  memcpy(base, text, length);
  memcpy(base + length, ending, extra);
  return lexicon_flags(lexicon, base, length + extra) & 15u;
}

static bool ends_with(const char *text, size_t length, const char *ending) {
  size_t size = strlen(ending);
  return length > size + 1 && !memcmp(text + length - size, ending, size);
}

/* The parts of speech of what is left when a regular ending is taken off. */
static uint32_t inflected_parts(const struct lexicon *lexicon, const char *text, size_t length) {
  static const struct {
    const char *ending, *base;
  } rules[] = {{"s", ""},   {"es", ""},   {"ies", "y"}, {"ed", ""}, {"ed", "e"},
               {"ing", ""}, {"ing", "e"}, {"ied", "y"}, {"er", ""}, {"est", ""}};
  uint32_t parts = 0;
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (!ends_with(text, length, rules[i].ending))
      continue;
    size_t stem = length - strlen(rules[i].ending);
    parts |= base_parts(lexicon, text, stem, rules[i].base);
    bool doubled = stem > 3 && text[stem - 1] == text[stem - 2] && !*rules[i].base;
    if (doubled && *rules[i].ending != 's')
      parts |= base_parts(lexicon, text, stem - 1, "");
  }
  return parts;
}

void pos_word_read(const struct lexicon *lexicon, const struct word *word,
                   struct pos_word *result) {
  char text[FORM_MAX];
  *result = (struct pos_word){0};
  size_t length = form_text(word, text, &result->shape);
  result->form = hash_text(text, length);
  for (size_t i = 1; i <= POS_SUFFIXES && i < length; i++)
    result->suffix[i - 1] = hash_text(text + length - i, i);
  for (size_t i = 1; i <= POS_PREFIXES && i < length; i++)
    result->prefix[i - 1] = hash_text(text, i);
  result->wordnet = lexicon_flags(lexicon, text, length) | inflected_parts(lexicon, text, length)
                                                               << 8;
}

static const struct pos_word *word_at(const struct pos_word *words, size_t count, size_t position,
                                      int offset) {
  if (offset < 0 && position < (size_t)-offset)
    return &beyond[position + 1 == (size_t)-offset ? 0 : 1];
  size_t at = position + (size_t)offset;
  return at < count ? &words[at] : &beyond[2];
}

/* Templates, each with its number; the numbers are part of a model file's meaning. */
static uint32_t one(unsigned template, uint64_t a) {
  return (uint32_t)hash_add(template, a);
}

static uint32_t two(unsigned template, uint64_t a, uint64_t b) {
  return (uint32_t)hash_add(hash_add(template, a), b);
}

static uint32_t three(unsigned template, uint64_t a, uint64_t b, uint64_t c) {
  return (uint32_t)hash_add(hash_add(hash_add(template, a), b), c);
}

size_t pos_features_fixed(const struct pos_word *words, size_t count, size_t position,
                          uint32_t features[POS_FIXED_MAX]) {
  const struct pos_word *w = &words[position];
  const struct pos_word *before = word_at(words, count, position, -1);
  const struct pos_word *before2 = word_at(words, count, position, -2);
  const struct pos_word *next = word_at(words, count, position, 1);
  const struct pos_word *next2 = word_at(words, count, position, 2);
  uint32_t *f = features;
  *f++ = one(1, 0);
  *f++ = one(2, w->form);
  *f++ = one(3, before->form);
  *f++ = one(4, next->form);
  *f++ = one(5, before2->form);
  *f++ = one(6, next2->form);
  *f++ = two(7, before->form, w->form);
  *f++ = two(8, w->form, next->form);
  *f++ = one(9, w->shape);
  for (unsigned i = 0; i < POS_SUFFIXES; i++)
    if (w->suffix[i])
      *f++ = one(10 + i, w->suffix[i]);
  for (unsigned i = 0; i < POS_PREFIXES; i++)
    if (w->prefix[i])
      *f++ = one(20 + i, w->prefix[i]);
  *f++ = one(30, before->suffix[2]);
  *f++ = one(31, next->suffix[2]);
  *f++ = one(40, w->wordnet);
  *f++ = one(41, before->wordnet);
  *f++ = one(42, next->wordnet);
  *f++ = two(43, w->wordnet, next->wordnet);
  *f++ = two(44, before->wordnet, w->wordnet);
  *f++ = two(45, w->wordnet, w->suffix[2]);
  *f++ = one(50, w->known);
  *f++ = one(51, next->known);
  *f++ = two(52, next->known, next2->known);
  *f++ = two(53, w->form, next->known);
  *f++ = two(54, w->wordnet, next->known);
  return (size_t)(f - features);
}

size_t pos_features_tagged(const struct pos_word *words, size_t count, size_t position,
                           const uint8_t *tags, uint32_t features[POS_TAGGED_MAX]) {
  const struct pos_word *w = &words[position];
  const struct pos_word *next = word_at(words, count, position, 1);
  uint64_t tag = position >= 1 ? tags[position - 1] : TAG_BEFORE;
  uint64_t tag2 = position >= 2 ? tags[position - 2] : TAG_BEFORE;
  uint32_t *f = features;
  *f++ = one(60, tag);
  *f++ = two(61, tag, tag2);
  *f++ = two(62, tag, w->form);
  *f++ = two(63, tag, next->form);
  *f++ = two(64, tag, w->wordnet);
  *f++ = three(65, tag, w->wordnet, next->wordnet);
  *f++ = two(66, tag, next->known);
  *f++ = three(67, tag, w->wordnet, next->known);
  *f++ = three(68, tag, w->known, next->known);
  return (size_t)(f - features);
}
