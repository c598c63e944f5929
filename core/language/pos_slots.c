#include "pos_slots.h"

bool pos_slots_init(struct pos_slots *slots, uint32_t count) {
  uint32_t size = 16;
  while (size / 2 < count && size < UINT32_MAX / 2)
    size *= 2;
  *slots = (struct pos_slots){calloc(size, sizeof *slots->slot), size - 1, 0};
  return slots->slot != NULL;
}

static bool slots_grow(struct pos_slots *slots) {
  struct pos_slots larger;
  if (!pos_slots_init(&larger, slots->mask + 1))
    return false;
  for (uint32_t i = 0; i <= slots->mask; i++)
    if (slots->slot[i].key)
      *pos_slots_find(&larger, slots->slot[i].key) = slots->slot[i];
  larger.used = slots->used;
  free(slots->slot);
  *slots = larger;
  return true;
}

struct pos_slot *pos_slots_add(struct pos_slots *slots, uint32_t hash) {
  if (slots->used > slots->mask / 2 && !slots_grow(slots))
    return NULL;
  struct pos_slot *slot = pos_slots_find(slots, hash);
  if (!slot->key) {
    *slot = (struct pos_slot){pos_slot_key(hash), 0};
    slots->used++;
  }
  return slot;
}

void pos_slots_free(struct pos_slots *slots) {
  free(slots->slot);
  *slots = (struct pos_slots){0};
}
