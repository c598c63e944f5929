/* A hash table from 32-bit hashes to 32-bit numbers, for the tagger's features and words. A hash of
 * 0 marks a free slot and shares the place of 1. */
#ifndef LANGUAGE_POS_SLOTS_H
#define LANGUAGE_POS_SLOTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct pos_slot {
  uint32_t key, value; /* key 0: free */
};

struct pos_slots {
  struct pos_slot *slot; /* mask + 1, from calloc */
  uint32_t mask, used;
};

/** The key under which a hash is kept. */
static inline uint32_t pos_slot_key(uint32_t hash) {
  return hash ? hash : 1;
}

/** The slot of a hash, or the free one where it would go. */
static inline struct pos_slot *pos_slots_find(const struct pos_slots *slots, uint32_t hash) {
  uint32_t key = pos_slot_key(hash), at = key & slots->mask;
  while (slots->slot[at].key && slots->slot[at].key != key)
    at = (at + 1) & slots->mask;
  return &slots->slot[at];
}

/** A table that holds count hashes at most half full. False without memory. */
bool pos_slots_init(struct pos_slots *slots, uint32_t count);

/** The slot of a hash, put in with value 0 if it is new; the table grows as needed and slots found
 * before may move. NULL without memory. */
struct pos_slot *pos_slots_add(struct pos_slots *slots, uint32_t hash);

void pos_slots_free(struct pos_slots *slots);

#endif
