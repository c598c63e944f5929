/* Counting adjectives, nouns and adjectives that stand before nouns.
 *
 * Each counting thread has a vocabulary of its own; they are added up at the end, so that the
 * counts do not depend on who counted what. The numbers of words do: sort before use.
 */
#ifndef LANGUAGE_VOCABULARY_H
#define LANGUAGE_VOCABULARY_H

#include "pos_model.h"
#include "word_table.h"

/** The words of one part of speech. */
struct word_counts {
  struct word_table words;
  uint64_t *count; /* words.count */
  uint32_t capacity;
};

/** How often an adjective stood directly before a noun; both by number. */
struct word_pair {
  uint32_t adjective, noun;
  uint64_t count; /* 0: a free slot */
};

struct vocabulary {
  struct word_counts adjectives, nouns;
  struct word_pair *pair; /* hash table of slots */
  size_t slots, pairs;    /* slots: a power of two, or 0 */
  uint64_t tokens;        /* words and marks of all captions */
};

/** Memory of one counting thread. */
struct vocabulary_scratch {
  struct pos_scratch pos;
  struct word *words;
  uint8_t *tags;
  char *text;
  size_t capacity; /* bytes of text, and words and tags */
};

/** Lower-cases, splits and tags one caption of well-formed UTF-8: its words and tags are in the
 * scratch until the next call, *count of them. False without memory. */
bool vocabulary_tag(const struct pos_model *tagger, const struct lexicon *lexicon,
                    const char *caption, size_t length, struct vocabulary_scratch *scratch,
                    size_t *count);

/** Counts one caption of well-formed UTF-8. Adjectives are counted as they stand, nouns by their
 * lemma; words without a letter or of more than 255 bytes are not. False without memory. */
bool vocabulary_count(struct vocabulary *vocabulary, const struct pos_model *tagger,
                      const struct lexicon *lexicon, const char *caption, size_t length,
                      struct vocabulary_scratch *scratch);

/** Adds the counts of one vocabulary to another. False without memory. */
bool vocabulary_add(struct vocabulary *vocabulary, const struct vocabulary *other);

/** Frees and clears; a record of zeros is allowed. */
void vocabulary_free(struct vocabulary *vocabulary);
void vocabulary_scratch_free(struct vocabulary_scratch *scratch);

#endif
