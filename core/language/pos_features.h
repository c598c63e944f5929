/* What the part-of-speech tagger looks at.
 *
 * A feature is a 32-bit hash of a template and of what stands there: the word, its endings and
 * beginnings, its neighbours, the tags already given to the two words before, the parts of speech
 * that WordNet gives to the words (as themselves, as irregular forms, and with an ending taken
 * off), and the set of tags that the words had in the training text. Two features with the same
 * hash share their weights, in training as in use.
 */
#ifndef LANGUAGE_POS_FEATURES_H
#define LANGUAGE_POS_FEATURES_H

#include "lexicon.h"
#include "tokenize.h"

#define POS_SUFFIXES     5
#define POS_PREFIXES     3
#define POS_FIXED_MAX    48 /* features that do not look at tags */
#define POS_TAGGED_MAX   16 /* features that do */
#define POS_FEATURES_MAX (POS_FIXED_MAX + POS_TAGGED_MAX)

/** A word as the templates see it. */
struct pos_word {
  uint64_t form;                 /* hash of the word, digits made equal */
  uint64_t suffix[POS_SUFFIXES]; /* hash of the last 1, 2, ... bytes; 0 where it is shorter */
  uint64_t prefix[POS_PREFIXES]; /* of the first 1, 2, ... bytes */
  uint32_t shape;                /* digits, letters, other marks, a hyphen: one bit each */
  uint32_t wordnet;              /* parts of speech: 4 bits own, 4 irregular, 4 without ending */
  uint32_t known;                /* set of tags in the training text, by number; 0: not seen */
};

/** Fills in all but `known`. */
void pos_word_read(const struct lexicon *lexicon, const struct word *word, struct pos_word *result);

/** The features of the word at position that do not depend on tags; returns how many. */
size_t pos_features_fixed(const struct pos_word *words, size_t count, size_t position,
                          uint32_t features[POS_FIXED_MAX]);

/** Those that do; tags holds the numbers of the tags of the words before position. */
size_t pos_features_tagged(const struct pos_word *words, size_t count, size_t position,
                           const uint8_t *tags, uint32_t features[POS_TAGGED_MAX]);

#endif
