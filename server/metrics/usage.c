/* Each window is a ring of slots of counts, so that time passing clears one slot instead of
 * subtracting pictures one by one: a window of ten minutes is right to a tenth of itself, and
 * its memory is bounded by the codes alone. */
#include "usage.h"

#include <stdlib.h>
#include <string.h>

#include "size.h"

#define SECOND 1000000000ull /* in nanoseconds */

static const struct {
  const char *name;
  size_t slots;
  uint64_t slot_length; /* nanoseconds; 0: one slot for ever */
} windows[USAGE_WINDOWS] = {
    {"process", 1, 0},
    {"1m", 10, 6 * SECOND},
    {"10m", 10, 60 * SECOND},
    {"1h", 12, 300 * SECOND},
};

/* The ring of one window. Slot number n (time / slot_length) lives at n % slots. */
struct ring {
  uint64_t newest;  /* slot number that counts now */
  uint64_t *counts; /* slots, codes */
};

struct usage {
  size_t codes;
  struct ring rings[USAGE_WINDOWS];
};

const char *usage_window_name(enum usage_window window) {
  return windows[window].name;
}

struct usage *usage_new(size_t codes) {
  struct usage *usage = calloc(1, sizeof *usage);
  if (!usage)
    return NULL;
  usage->codes = codes;
  for (size_t w = 0; w < USAGE_WINDOWS; w++) {
    size_t count;
    if (size_multiply(windows[w].slots, codes, &count))
      usage->rings[w].counts = calloc(count ? count : 1, sizeof *usage->rings[w].counts);
    if (!usage->rings[w].counts) {
      usage_free(usage);
      return NULL;
    }
  }
  return usage;
}

void usage_free(struct usage *usage) {
  for (size_t w = 0; usage && w < USAGE_WINDOWS; w++)
    free(usage->rings[w].counts);
  free(usage);
}

/* Clears the slots between the newest and now, and gives the slot for now. */
static uint64_t *ring_advance(const struct usage *usage, struct ring *ring, size_t window,
                              uint64_t now) {
  size_t slots = windows[window].slots;
  uint64_t number = windows[window].slot_length ? now / windows[window].slot_length : 0;
  uint64_t behind = number - ring->newest;
  for (uint64_t i = 0; i < behind && i < slots; i++)
    memset(ring->counts + (size_t)((number - i) % slots) * usage->codes, 0,
           usage->codes * sizeof *ring->counts);
  ring->newest = number;
  return ring->counts + (size_t)(number % slots) * usage->codes;
}

void usage_record(struct usage *usage, const uint32_t *tokens, size_t count, uint64_t now) {
  for (size_t w = 0; w < USAGE_WINDOWS; w++) {
    uint64_t *slot = ring_advance(usage, &usage->rings[w], w, now);
    for (size_t i = 0; i < count; i++)
      slot[tokens[i]]++;
  }
}

void usage_counts(struct usage *usage, enum usage_window window, uint64_t now, uint64_t *counts) {
  struct ring *ring = &usage->rings[window];
  ring_advance(usage, ring, window, now);
  memset(counts, 0, usage->codes * sizeof *counts);
  for (size_t slot = 0; slot < windows[window].slots; slot++)
    for (size_t code = 0; code < usage->codes; code++)
      counts[code] += ring->counts[slot * usage->codes + code];
}
