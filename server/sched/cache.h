/* Tokens that were computed before, by what they were computed from.
 *
 *   cache_find(cache, key, &tokens, &height, &width) || compute them, and cache_add(...)
 *
 * A key is a hash of all that decides the tokens, so an entry is never wrong and never changes; it
 * goes when room is needed, the least recently used first. All functions but the first and the last
 * may be called from any thread. */
#ifndef SCHED_CACHE_H
#define SCHED_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_KEY_BYTES 32

struct cache;

struct cache_key {
  uint8_t bytes[CACHE_KEY_BYTES]; /* of a hash without known collisions */
};

/** The tokens of a picture. */
struct cache_tokens {
  uint32_t height, width; /* of the picture, in pixels */
  size_t count;
  uint32_t *tokens;
};

struct cache_status {
  uint64_t hits, misses, evictions;
  size_t entries;
  uint64_t bytes; /* with what the table itself takes */
};

/** An empty cache of at most so many bytes; NULL where memory fails. */
struct cache *cache_new(uint64_t bytes);

/** The tokens under a key, from malloc, which become the caller's; false where there are none, or
 * no memory for a copy. Either way it is counted. */
bool cache_find(struct cache *cache, const struct cache_key *key, struct cache_tokens *found);

/** Copies tokens into the cache. Nothing happens where they are there already, where they are
 * larger than the whole cache, or where memory fails. */
void cache_add(struct cache *cache, const struct cache_key *key, const struct cache_tokens *tokens);

struct cache_status cache_read(struct cache *cache);

/** May be given NULL. */
void cache_free(struct cache *cache);

#endif
