/* Chunks form a list in which those behind the current one are empty: memory that was given back
 * and waits for the next run. A block never crosses chunks, so how work is cut into blocks
 * decides how much of each chunk is wasted; arena_gather ends that with one chunk of the peak.
 * Under AddressSanitizer every block has a poisoned zone behind it, and what is given back is
 * poisoned. */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#include "large_pages.h"
#include "size.h"

/* gcc and clang tell of AddressSanitizer in different ways. */
#if defined(__SANITIZE_ADDRESS__)
#define RED_ZONES
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RED_ZONES
#endif
#endif

#if defined(RED_ZONES)
#include <sanitizer/asan_interface.h>
#define RED_ZONE ARENA_ALIGNMENT
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define RED_ZONE                                   0
#endif

#define CHUNK_MINIMUM ((size_t)64 * 1024) /* bytes */

struct arena_chunk {
  struct arena_chunk *next;
  size_t size, used; /* bytes of data */
  _Alignas(ARENA_ALIGNMENT) unsigned char data[];
};

void arena_init(struct arena *arena, size_t limit) {
  *arena = (struct arena){.limit = limit};
}

void arena_free(struct arena *arena) {
  for (struct arena_chunk *chunk = arena->first, *next; chunk; chunk = next) {
    next = chunk->next;
    ASAN_UNPOISON_MEMORY_REGION(chunk->data, chunk->size);
    free(chunk);
  }
  arena_init(arena, arena->limit);
}

/* Puts a new chunk of at least size bytes behind the current one. Chunks double in size, so that a
 * long series of small blocks needs few of them. */
static struct arena_chunk *chunk_add(struct arena *arena, size_t size) {
  size_t wanted = arena->current ? arena->current->size * 2 : CHUNK_MINIMUM;
  if (wanted < size)
    wanted = size;
  if (arena->limit && wanted > arena->limit - arena->total) {
    wanted = size;
    if (wanted > arena->limit - arena->total)
      return NULL;
  }
  size_t bytes;
  if (!size_add(wanted, sizeof(struct arena_chunk) + ARENA_ALIGNMENT, &bytes))
    return NULL;
  bytes -= bytes % ARENA_ALIGNMENT;
  struct arena_chunk *chunk = aligned_alloc(ARENA_ALIGNMENT, bytes);
  if (!chunk)
    return NULL;
  large_pages_ask(chunk, bytes);
  chunk->size = wanted;
  chunk->used = 0;
  chunk->next = arena->current ? arena->current->next : NULL;
  if (arena->current)
    arena->current->next = chunk;
  else
    arena->first = chunk;
  arena->total += wanted;
  ASAN_POISON_MEMORY_REGION(chunk->data, chunk->size);
  return chunk;
}

/* The first chunk from the current one on that has size bytes left, or a new one. */
static struct arena_chunk *chunk_with_room(struct arena *arena, size_t size) {
  struct arena_chunk *chunk = arena->current;
  if (chunk && chunk->size - chunk->used >= size)
    return chunk;
  for (chunk = chunk ? chunk->next : arena->first; chunk; chunk = chunk->next) {
    chunk->used = 0;
    arena->current = chunk;
    if (chunk->size >= size)
      return chunk;
  }
  return chunk_add(arena, size);
}

void *arena_alloc(struct arena *arena, size_t size) {
  size_t bytes;
  if (!size_add(size, RED_ZONE + ARENA_ALIGNMENT - 1, &bytes))
    return NULL;
  bytes -= bytes % ARENA_ALIGNMENT;
  struct arena_chunk *chunk = chunk_with_room(arena, bytes);
  if (!chunk)
    return NULL;
  void *block = chunk->data + chunk->used;
  chunk->used += bytes;
  arena->current = chunk;
  arena->held += bytes;
  if (arena->held > arena->peak)
    arena->peak = arena->held;
  ASAN_UNPOISON_MEMORY_REGION(block, size);
  return block;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size) {
  size_t bytes;
  if (!size_multiply(count, size, &bytes))
    return NULL;
  void *block = arena_alloc(arena, bytes);
  if (block)
    memset(block, 0, bytes);
  return block;
}

struct arena_mark arena_mark(const struct arena *arena) {
  return (struct arena_mark){arena->current, arena->current ? arena->current->used : 0,
                             arena->held};
}

void arena_release(struct arena *arena, struct arena_mark mark) {
  struct arena_chunk *chunk = mark.chunk ? mark.chunk : arena->first;
  arena->current = chunk;
  arena->held = mark.held;
  if (!chunk)
    return;
  chunk->used = mark.chunk ? mark.used : 0;
  ASAN_POISON_MEMORY_REGION(chunk->data + chunk->used, chunk->size - chunk->used);
}

void arena_gather(struct arena *arena, size_t most) {
  size_t peak = arena->peak;
  if (most && peak > most) {
    arena_free(arena);
    arena->peak = 0;
    return;
  }
  if (!arena->first || !arena->first->next)
    return;
  arena_free(arena);
  arena->current = chunk_add(arena, peak);
  arena->peak = peak;
}
