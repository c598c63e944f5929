/* Words are sorted, and each says how many bytes it shares with the one before. So a damaged
 * byte would spread: every length is checked against what is left, and a word that stands twice
 * or bytes behind the last one are errors. */
#include "lexicon.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "lexicon_format.h"
#include "little_endian.h"

/* Where reading stands. */
struct lexicon_cursor {
  const unsigned char *at, *end;
};

static bool cursor_byte(struct lexicon_cursor *cursor, uint8_t *byte) {
  if (cursor->at == cursor->end)
    return false;
  *byte = *cursor->at++;
  return true;
}

static bool cursor_copy(struct lexicon_cursor *cursor, char *to, size_t size) {
  if ((size_t)(cursor->end - cursor->at) < size)
    return false;
  memcpy(to, cursor->at, size);
  cursor->at += size;
  return true;
}

/* One word: the text goes to word, whose first bytes are still those of the word before. */
static bool read_word(struct lexicon_cursor *cursor, char word[LEXICON_WORD_MAX + 1],
                      size_t *length) {
  uint8_t shared, further;
  if (!cursor_byte(cursor, &shared) || !cursor_byte(cursor, &further) || shared > *length ||
      (size_t)shared + further > LEXICON_WORD_MAX || further == 0)
    return false;
  if (!cursor_copy(cursor, word + shared, further))
    return false;
  *length = (size_t)shared + further;
  return !memchr(word, 0, *length);
}

static enum vqct_status read_entry(struct lexicon_cursor *cursor, struct lexicon *lexicon,
                                   char word[LEXICON_WORD_MAX + 1], size_t *length,
                                   struct vqct_error *error) {
  uint32_t entry = lexicon->words.count, id;
  uint8_t flags, lemma_bytes;
  if (!read_word(cursor, word, length) || !cursor_byte(cursor, &flags))
    return error_set(error, VQCT_DATA, "word %u of the lexicon is damaged", (unsigned)entry);
  if (!word_table_add(&lexicon->words, word, *length, &id))
    return error_set(error, VQCT_MEMORY, "no memory for the lexicon");
  if (id != entry)
    return error_set(error, VQCT_DATA, "word %u of the lexicon stands twice", (unsigned)entry);
  lexicon->flags[entry] = flags;
  lexicon->lemmas[entry] = NULL;
  if (!(flags & LEXICON_IRREGULAR(LEXICON_NOUN)))
    return VQCT_OK;
  char *lemmas = NULL;
  if (!cursor_byte(cursor, &lemma_bytes) || lemma_bytes > cursor->end - cursor->at)
    return error_set(error, VQCT_DATA, "word %u of the lexicon is damaged", (unsigned)entry);
  if (!(lemmas = arena_calloc(&lexicon->memory, 1, lemma_bytes + 1u)))
    return error_set(error, VQCT_MEMORY, "no memory for the lexicon");
  cursor_copy(cursor, lemmas, lemma_bytes);
  lexicon->lemmas[entry] = lemmas;
  return VQCT_OK;
}

enum vqct_status lexicon_open(const void *data, size_t size, struct lexicon *lexicon,
                              struct vqct_error *error) {
  *lexicon = (struct lexicon){0};
  const unsigned char *bytes = data;
  if (size < LEXICON_HEADER || memcmp(bytes, LEXICON_MAGIC, 8))
    return error_set(error, VQCT_DATA, "not a lexicon: the first bytes are not " LEXICON_MAGIC);
  uint32_t entries = little_endian_read(bytes + 8), rest = little_endian_read(bytes + 12);
  if (rest != size - LEXICON_HEADER || entries > rest / 4 || entries == 0)
    return error_set(error, VQCT_DATA, "the lexicon's header does not fit its %zu bytes", size);
  enum vqct_status status = VQCT_OK;
  lexicon->flags = malloc(entries);
  lexicon->lemmas = malloc(entries * sizeof *lexicon->lemmas);
  if (!lexicon->flags || !lexicon->lemmas)
    status = error_set(error, VQCT_MEMORY, "no memory for the lexicon");
  struct lexicon_cursor cursor = {bytes + LEXICON_HEADER, bytes + size};
  char word[LEXICON_WORD_MAX + 1];
  size_t length = 0;
  while (status == VQCT_OK && lexicon->words.count < entries)
    status = read_entry(&cursor, lexicon, word, &length, error);
  if (status == VQCT_OK && cursor.at != cursor.end)
    status = error_set(error, VQCT_DATA, "the lexicon has bytes behind its last word");
  if (status != VQCT_OK)
    lexicon_free(lexicon);
  return status;
}

void lexicon_free(struct lexicon *lexicon) {
  word_table_free(&lexicon->words);
  free(lexicon->flags);
  free(lexicon->lemmas);
  arena_free(&lexicon->memory);
  *lexicon = (struct lexicon){0};
}

unsigned lexicon_flags(const struct lexicon *lexicon, const char *word, size_t length) {
  uint32_t id = word_table_find(&lexicon->words, word, length);
  return id == WORD_NONE ? 0 : lexicon->flags[id];
}
