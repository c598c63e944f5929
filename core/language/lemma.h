/* The base form of a noun, by WordNet's rules (morphy) as NLTK's WordNetLemmatizer applies them:
 * the shortest of the forms that the lexicon has as a noun, the word itself where it has none.
 * Unlike NLTK, which strips endings again and again until something is found ("possess" becomes
 * "posse"), endings are taken off once. */
#ifndef LANGUAGE_LEMMA_H
#define LANGUAGE_LEMMA_H

#include "lexicon.h"

#define LEMMA_MAX ((size_t)256) /* bytes with the zero at the end */

/** Writes the lemma of a lower-case noun of at most LEMMA_MAX - 2 bytes to lemma and returns its
 * length; a longer word is its own lemma, cut to LEMMA_MAX - 1 bytes. */
size_t lemma_noun(const struct lexicon *lexicon, const char *word, size_t length,
                  char lemma[LEMMA_MAX]);

#endif
