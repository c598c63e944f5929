/* A set of words without zero bytes, numbered in the order in which they
 * came.
 *
 *   struct word_table table = {0};
 *   uint32_t id;
 *   if (word_table_add(&table, "dog", 3, &id))
 *     puts(word_table_text(&table, id));
 *   word_table_free(&table);
 *
 * A record of zeros is an empty table. Reading is safe from many threads; adding is for one.
 */
#ifndef BASE_WORD_TABLE_H
#define BASE_WORD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORD_NONE UINT32_MAX

struct word_table {
  uint32_t count;           /* of words */
  char *text;               /* all words, each with a zero byte behind it */
  size_t used, size;        /* bytes of text: in use, allocated */
  size_t *offset;           /* count: where each word begins in text */
  uint32_t offset_capacity; /* allocated */
  uint32_t *slot;           /* hash table of word numbers; WORD_NONE: free */
  uint32_t slots;           /* a power of two, or 0 */
};

/** Finds a word or puts it in; its number goes to *id. False where memory is exhausted. */
bool word_table_add(struct word_table *table, const char *text, size_t length, uint32_t *id);

/** The number of a word, or WORD_NONE. */
uint32_t word_table_find(const struct word_table *table, const char *text, size_t length);

/** The word with a number below count, zero-terminated; valid until the next word_table_add. */
const char *word_table_text(const struct word_table *table, uint32_t id);

/** Frees the memory and makes the table empty. */
void word_table_free(struct word_table *table);

#endif
