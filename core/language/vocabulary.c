/* Pairs are counted in one table of open addressing keyed by both numbers, in which a count of 0
 * marks a free slot. Only an adjective directly before a noun makes a pair, as in the paper. */
#include "vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "entities.h"
#include "hash.h"
#include "lemma.h"
#include "utf8.h"

#define WORD_BYTES_MAX (LEMMA_MAX - 2)

static bool word_count(struct word_counts *counts, const char *text, size_t length, uint64_t times,
                       uint32_t *id) {
  if (counts->words.count == counts->capacity) {
    uint32_t capacity = counts->capacity ? counts->capacity * 2 : 1024;
    uint64_t *count = realloc(counts->count, capacity * sizeof *count);
    if (!count)
      return false;
    counts->count = count;
    counts->capacity = capacity;
  }
  uint32_t before = counts->words.count;
  if (!word_table_add(&counts->words, text, length, id))
    return false;
  if (*id == before)
    counts->count[*id] = 0;
  counts->count[*id] += times;
  return true;
}

/* The slot of a pair, or the free one where it would go. */
static struct word_pair *pair_slot(const struct vocabulary *vocabulary, uint32_t adjective,
                                   uint32_t noun) {
  size_t mask = vocabulary->slots - 1;
  size_t at = hash_mix((uint64_t)adjective << 32 | noun) & mask;
  struct word_pair *pair = vocabulary->pair;
  while (pair[at].count && (pair[at].adjective != adjective || pair[at].noun != noun))
    at = (at + 1) & mask;
  return &pair[at];
}

static bool pairs_grow(struct vocabulary *vocabulary) {
  struct word_pair *before = vocabulary->pair;
  size_t slots = vocabulary->slots;
  struct word_pair *pair = calloc(slots ? slots * 2 : 4096, sizeof *pair);
  if (!pair)
    return false;
  vocabulary->pair = pair;
  vocabulary->slots = slots ? slots * 2 : 4096;
  for (size_t i = 0; i < slots; i++)
    if (before[i].count)
      *pair_slot(vocabulary, before[i].adjective, before[i].noun) = before[i];
  free(before);
  return true;
}

static bool pair_count(struct vocabulary *vocabulary, uint32_t adjective, uint32_t noun,
                       uint64_t times) {
  if (vocabulary->pairs >= vocabulary->slots / 2 && !pairs_grow(vocabulary))
    return false;
  struct word_pair *pair = pair_slot(vocabulary, adjective, noun);
  vocabulary->pairs += pair->count == 0;
  *pair = (struct word_pair){adjective, noun, pair->count + times};
  return true;
}

static bool is_countable(const struct word *word) {
  if (word->length > WORD_BYTES_MAX)
    return false;
  for (size_t i = 0; i < word->length; i++)
    if ((word->text[i] >= 'a' && word->text[i] <= 'z') || (unsigned char)word->text[i] >= 0x80)
      return true;
  return false;
}

static bool scratch_reserve(struct vocabulary_scratch *scratch, size_t length) {
  if (length < scratch->capacity)
    return true;
  size_t capacity = length + length / 2 + 256;
  vocabulary_scratch_free(scratch);
  scratch->words = malloc(capacity * sizeof *scratch->words);
  scratch->tags = malloc(capacity);
  scratch->text = malloc(capacity);
  scratch->capacity = capacity;
  if (scratch->words && scratch->tags && scratch->text)
    return true;
  vocabulary_scratch_free(scratch);
  return false;
}

/* Counts one word; *id becomes its number if it is an adjective or noun, else WORD_NONE. */
static bool count_word(struct vocabulary *vocabulary, const struct lexicon *lexicon,
                       const struct word *word, enum pos_class class, uint32_t *id) {
  char lemma[LEMMA_MAX];
  *id = WORD_NONE;
  if (class == POS_OTHER || !is_countable(word))
    return true;
  if (class == POS_ADJECTIVE)
    return word_count(&vocabulary->adjectives, word->text, word->length, 1, id);
  size_t length = lemma_noun(lexicon, word->text, word->length, lemma);
  return word_count(&vocabulary->nouns, lemma, length, 1, id);
}

bool vocabulary_tag(const struct pos_model *tagger, const struct lexicon *lexicon,
                    const char *caption, size_t length, struct vocabulary_scratch *scratch,
                    size_t *count) {
  if (!scratch_reserve(scratch, length))
    return false;
  memcpy(scratch->text, caption, length);
  length = entities_decode(scratch->text, length);
  length = utf8_lower(scratch->text, length);
  *count = tokenize(scratch->text, length, scratch->words, scratch->capacity);
  return pos_tag(tagger, lexicon, scratch->words, *count, &scratch->pos, scratch->tags);
}

bool vocabulary_count(struct vocabulary *vocabulary, const struct pos_model *tagger,
                      const struct lexicon *lexicon, const char *caption, size_t length,
                      struct vocabulary_scratch *scratch) {
  size_t count;
  if (!vocabulary_tag(tagger, lexicon, caption, length, scratch, &count))
    return false;
  uint32_t adjective = WORD_NONE; /* directly before */
  for (size_t i = 0; i < count; i++) {
    enum pos_class class = tagger->class[scratch->tags[i]];
    uint32_t id;
    if (!count_word(vocabulary, lexicon, &scratch->words[i], class, &id))
      return false;
    if (class == POS_NOUN && id != WORD_NONE && adjective != WORD_NONE &&
        !pair_count(vocabulary, adjective, id, 1))
      return false;
    adjective = class == POS_ADJECTIVE ? id : WORD_NONE;
  }
  vocabulary->tokens += count;
  return true;
}

/* Adds words; numbers[] tells where each of other's words went. From malloc, NULL without memory.
 */
static uint32_t *add_words(struct word_counts *counts, const struct word_counts *other) {
  uint32_t *numbers = malloc((other->words.count + 1u) * sizeof *numbers);
  for (uint32_t i = 0; numbers && i < other->words.count; i++) {
    const char *text = word_table_text(&other->words, i);
    if (!word_count(counts, text, strlen(text), other->count[i], &numbers[i])) {
      free(numbers);
      return NULL;
    }
  }
  return numbers;
}

bool vocabulary_add(struct vocabulary *vocabulary, const struct vocabulary *other) {
  uint32_t *adjectives = add_words(&vocabulary->adjectives, &other->adjectives);
  uint32_t *nouns = add_words(&vocabulary->nouns, &other->nouns);
  bool done = adjectives && nouns;
  for (size_t i = 0; done && i < other->slots; i++) {
    const struct word_pair *pair = &other->pair[i];
    if (pair->count)
      done = pair_count(vocabulary, adjectives[pair->adjective], nouns[pair->noun], pair->count);
  }
  free(adjectives);
  free(nouns);
  vocabulary->tokens += other->tokens;
  return done;
}

static void word_counts_free(struct word_counts *counts) {
  word_table_free(&counts->words);
  free(counts->count);
}

void vocabulary_free(struct vocabulary *vocabulary) {
  word_counts_free(&vocabulary->adjectives);
  word_counts_free(&vocabulary->nouns);
  free(vocabulary->pair);
  *vocabulary = (struct vocabulary){0};
}

void vocabulary_scratch_free(struct vocabulary_scratch *scratch) {
  pos_scratch_free(&scratch->pos);
  free(scratch->words);
  free(scratch->tags);
  free(scratch->text);
  *scratch = (struct vocabulary_scratch){0};
}
