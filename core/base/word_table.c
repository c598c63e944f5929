/* Open addressing over one block of texts. The hash table holds numbers of words and the numbers
 * offsets into the block, so that either may move while it grows. All memory is taken before
 * anything is changed: a word is added whole or not at all. */
#include "word_table.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "size.h"

/* The slot where a word stands, or the free one where it would go. */
static uint32_t *slot_of(const struct word_table *table, const char *text, size_t length) {
  uint32_t mask = table->slots - 1;
  for (uint32_t at = (uint32_t)hash_text(text, length) & mask;; at = (at + 1) & mask) {
    uint32_t id = table->slot[at];
    if (id == WORD_NONE)
      return &table->slot[at];
    const char *word = table->text + table->offset[id];
    if (!strncmp(word, text, length) && !word[length])
      return &table->slot[at];
  }
}

/* Doubles the hash table, so that at most half of it is in use. */
static bool slots_grow(struct word_table *table) {
  uint32_t slots = table->slots ? table->slots * 2 : 1024;
  uint32_t *slot = malloc((size_t)slots * sizeof *slot);
  if (!slot)
    return false;
  memset(slot, 0xff, (size_t)slots * sizeof *slot);
  free(table->slot);
  table->slot = slot;
  table->slots = slots;
  for (uint32_t id = 0; id < table->count; id++) {
    const char *word = table->text + table->offset[id];
    *slot_of(table, word, strlen(word)) = id;
  }
  return true;
}

/* Makes room for one more word. */
static bool table_reserve(struct word_table *table, size_t length) {
  size_t size;
  if (!size_add(length, table->used, &size) || !size_add(size, size / 2 + 4096, &size))
    return false;
  if (table->size - table->used <= length) {
    char *text = realloc(table->text, size);
    if (!text)
      return false;
    table->text = text;
    table->size = size;
  }
  if (table->count == table->offset_capacity) {
    uint32_t capacity = table->offset_capacity ? table->offset_capacity * 2 : 512;
    size_t *offset = realloc(table->offset, capacity * sizeof *offset);
    if (!offset)
      return false;
    table->offset = offset;
    table->offset_capacity = capacity;
  }
  return table->count < table->slots / 2 || (table->slots < UINT32_MAX / 2 && slots_grow(table));
}

bool word_table_add(struct word_table *table, const char *text, size_t length, uint32_t *id) {
  if (!table_reserve(table, length))
    return false;
  uint32_t *slot = slot_of(table, text, length);
  if (*slot == WORD_NONE) {
    *slot = table->count++;
    table->offset[*slot] = table->used;
    memcpy(table->text + table->used, text, length);
    table->text[table->used + length] = '\0';
    table->used += length + 1;
  }
  *id = *slot;
  return true;
}

uint32_t word_table_find(const struct word_table *table, const char *text, size_t length) {
  return table->count ? *slot_of(table, text, length) : WORD_NONE;
}

const char *word_table_text(const struct word_table *table, uint32_t id) {
  return table->text + table->offset[id];
}

void word_table_free(struct word_table *table) {
  free(table->text);
  free(table->offset);
  free(table->slot);
  *table = (struct word_table){0};
}
