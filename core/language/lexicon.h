/* WordNet's words, reduced to what a tagger and a lemmatiser need: which parts of speech each word
 * has, which irregular forms there are, and the lemmas of the irregular nouns.
 *
 * In memory and in a file it is one block of bytes, little-endian, made from WordNet's own files:
 *
 *   "VQCTLEX1", u32 number of entries, u32 bytes of the entries
 *   per entry, in byte order of the words:
 *     u8 bytes shared with the word before, u8 further bytes, the further bytes, u8 flags,
 *     where LEXICON_IRREGULAR(NOUN) is set: u8 bytes of lemmas, the lemmas with spaces between
 *
 * A lexicon is read-only once it is open; any number of threads may use it.
 */
#ifndef LANGUAGE_LEXICON_H
#define LANGUAGE_LEXICON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "vqct/image.h"
#include "vqct/status.h"
#include "word_table.h"

enum lexicon_part { LEXICON_NOUN, LEXICON_VERB, LEXICON_ADJECTIVE, LEXICON_ADVERB, LEXICON_PARTS };

/* Flags of an entry. */
#define LEXICON_HAS(part)       ((uint8_t)(1u << (part)))  /* a base form of that part of speech */
#define LEXICON_IRREGULAR(part) ((uint8_t)(16u << (part))) /* an irregular form */

struct lexicon {
  struct word_table words;
  uint8_t *flags;      /* words.count */
  const char **lemmas; /* words.count: of an irregular noun, else NULL */
  struct arena memory; /* of the texts of lemmas */
};

/** Opens a block of bytes, which is checked and need not live on. Errors: DATA, MEMORY. */
enum vqct_status lexicon_open(const void *data, size_t size, struct lexicon *lexicon,
                              struct vqct_error *error);

/** Frees what lexicon_open took; a record of zeros is allowed. */
void lexicon_free(struct lexicon *lexicon);

/** The flags of a lower-case word; 0 for an unknown one. */
unsigned lexicon_flags(const struct lexicon *lexicon, const char *word, size_t length);

/** Makes the block from WordNet's folder (index.noun ... adv.exc). Words with blanks are left out.
 * The caller frees block->data. Errors: READ, DATA, MEMORY. */
enum vqct_status lexicon_build(const char *folder, struct vqct_bytes *block,
                               struct vqct_error *error);

#endif
