#include "lemma.h"

#include <string.h>

/* WordNet's endings of plural nouns, and what stands there in the singular. */
static const struct {
  const char *plural, *singular;
} endings[] = {
    {"s", ""},      {"ses", "s"},   {"ves", "f"},   {"xes", "x"}, {"zes", "z"},
    {"ches", "ch"}, {"shes", "sh"}, {"men", "man"}, {"ies", "y"},
};

/* Takes a candidate if it is a noun and shorter than the best one so far. */
static void consider(const struct lexicon *lexicon, const char *form, size_t length,
                     char lemma[LEMMA_MAX], size_t *best) {
  if (length >= *best || !(lexicon_flags(lexicon, form, length) & LEXICON_HAS(LEXICON_NOUN)))
    return;
  memcpy(lemma, form, length);
  lemma[length] = '\0';
  *best = length;
}

static void consider_irregular(const struct lexicon *lexicon, const char *forms,
                               char lemma[LEMMA_MAX], size_t *best) {
  while (*forms) {
    size_t length = strcspn(forms, " ");
    consider(lexicon, forms, length, lemma, best);
    forms += length + strspn(forms + length, " ");
  }
}

static void consider_endings(const struct lexicon *lexicon, const char *word, size_t length,
                             char lemma[LEMMA_MAX], size_t *best) {
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    size_t plural = strlen(endings[i].plural), singular = strlen(endings[i].singular);
    if (length <= plural || memcmp(word + length - plural, endings[i].plural, plural))
      continue;
    char form[LEMMA_MAX];
    memcpy(form, word, length - plural);
    memcpy(form + length - plural, endings[i].singular, singular);
    consider(lexicon, form, length - plural + singular, lemma, best);
  }
}

size_t lemma_noun(const struct lexicon *lexicon, const char *word, size_t length,
                  char lemma[LEMMA_MAX]) {
  size_t best = LEMMA_MAX;
  if (length < LEMMA_MAX - 1) {
    uint32_t id = word_table_find(&lexicon->words, word, length);
    const char *irregular = id == WORD_NONE ? NULL : lexicon->lemmas[id];
    consider(lexicon, word, length, lemma, &best);
    if (irregular)
      consider_irregular(lexicon, irregular, lemma, &best);
    else
      consider_endings(lexicon, word, length, lemma, &best);
  }
  if (best == LEMMA_MAX) {
    best = length < LEMMA_MAX ? length : LEMMA_MAX - 1;
    memcpy(lemma, word, best);
    lemma[best] = '\0';
  }
  return best;
}
