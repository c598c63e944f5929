/* A table and a list under one lock: the table finds an entry by its key, the list has the entries
 * in the order of their last use. Copies are made under the lock: they are short, and an entry
 * cannot go meanwhile. */
#include "cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A table that cannot grow is left as it was, instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

struct entry {
  struct cache_key key;
  UT_hash_handle hh;
  struct entry *prev, *next; /* of the list */
  uint32_t height, width;
  size_t count;
  uint32_t tokens[];
};

struct cache {
  uint64_t limit;
  pthread_mutex_t lock; /* for all that follows; taken with no other */
  struct entry *table;
  struct entry *list; /* the least recently used first */
  struct cache_status status;
};

/* What an entry takes, with its share of the table: a bucket for each 10 entries at least. */
static uint64_t entry_bytes(size_t count) {
  return sizeof(struct entry) + count * sizeof(uint32_t) + sizeof(UT_hash_bucket);
}

struct cache *cache_new(uint64_t bytes) {
  struct cache *cache = calloc(1, sizeof *cache);
  if (!cache)
    return NULL;
  cache->limit = bytes;
  pthread_mutex_init(&cache->lock, NULL);
  return cache;
}

/* ---- under the lock -------------------------------------------------------------------------- */

static struct entry *find(struct cache *cache, const struct cache_key *key) {
  struct entry *entry;
  HASH_FIND(hh, cache->table, key, sizeof *key, entry);
  return entry;
}

static void use(struct cache *cache, struct entry *entry) {
  DL_DELETE(cache->list, entry);
  DL_APPEND(cache->list, entry);
}

static void evict(struct cache *cache) {
  struct entry *entry = cache->list;
  HASH_DELETE(hh, cache->table, entry);
  DL_DELETE(cache->list, entry);
  cache->status.bytes -= entry_bytes(entry->count);
  cache->status.entries--;
  cache->status.evictions++;
  free(entry);
}

/* Puts an entry that is not there into the cache, which then owns it; false where the table finds
 * no memory. */
static bool insert(struct cache *cache, struct entry *entry) {
  uint64_t bytes = entry_bytes(entry->count);
  while (cache->status.bytes > cache->limit - bytes)
    evict(cache);
  HASH_ADD(hh, cache->table, key, sizeof entry->key, entry);
  if (!entry->hh.tbl)
    return false;
  DL_APPEND(cache->list, entry);
  cache->status.bytes += bytes;
  cache->status.entries++;
  return true;
}

/* ---- from any thread ------------------------------------------------------------------------- */

static bool copy(const struct entry *entry, struct cache_tokens *found) {
  size_t bytes = entry->count * sizeof *entry->tokens;
  uint32_t *tokens = malloc(bytes);
  if (!tokens)
    return false;
  memcpy(tokens, entry->tokens, bytes);
  *found = (struct cache_tokens){entry->height, entry->width, entry->count, tokens};
  return true;
}

bool cache_find(struct cache *cache, const struct cache_key *key, struct cache_tokens *found) {
  pthread_mutex_lock(&cache->lock);
  struct entry *entry = find(cache, key);
  bool hit = entry && copy(entry, found);
  if (hit)
    use(cache, entry);
  cache->status.hits += hit;
  cache->status.misses += !hit;
  pthread_mutex_unlock(&cache->lock);
  return hit;
}

void cache_add(struct cache *cache, const struct cache_key *key,
               const struct cache_tokens *tokens) {
  if (entry_bytes(tokens->count) > cache->limit)
    return;
  struct entry *entry = calloc(1, sizeof *entry + tokens->count * sizeof *entry->tokens);
  if (!entry)
    return;
  entry->key = *key;
  entry->height = tokens->height;
  entry->width = tokens->width;
  entry->count = tokens->count;
  memcpy(entry->tokens, tokens->tokens, tokens->count * sizeof *entry->tokens);
  pthread_mutex_lock(&cache->lock);
  bool kept = !find(cache, key) && insert(cache, entry);
  pthread_mutex_unlock(&cache->lock);
  if (!kept)
    free(entry);
}

struct cache_status cache_read(struct cache *cache) {
  pthread_mutex_lock(&cache->lock);
  struct cache_status status = cache->status;
  pthread_mutex_unlock(&cache->lock);
  return status;
}

void cache_free(struct cache *cache) {
  if (!cache)
    return;
  while (cache->list)
    evict(cache);
  pthread_mutex_destroy(&cache->lock);
  free(cache);
}
