/* A stack of memory for one session or one request.
 *
 * Blocks are taken one after another and given back all together, down to a mark. The memory stays
 * with the arena, so that a second run of the same work allocates nothing. Not safe for two threads
 * at once: one arena belongs to one session, request or worker.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#define ARENA_ALIGNMENT 64 /* bytes: a cache line, and the widest vector */

struct arena_chunk;

struct arena {
  struct arena_chunk *first, *current;
  size_t limit; /* bytes in all chunks together; 0: no limit */
  size_t total; /* bytes in all chunks together, now */
  size_t held;  /* bytes of all blocks, now */
  size_t peak;  /* the most that held has been */
};

struct arena_mark {
  struct arena_chunk *chunk;
  size_t used, held;
};

/** An empty arena; limit is the most bytes it may ever hold, 0 for no limit. */
void arena_init(struct arena *arena, size_t limit);

/** Frees all memory. The arena is empty afterwards and can be used again. */
void arena_free(struct arena *arena);

/** size bytes aligned to ARENA_ALIGNMENT, not cleared; NULL if memory or the limit is exhausted.
 * A size of 0 gives a valid pointer that must not be read through. */
void *arena_alloc(struct arena *arena, size_t size);

/** count times size bytes, cleared; NULL also where the product overflows. */
void *arena_calloc(struct arena *arena, size_t count, size_t size);

/** Where the stack stands. */
struct arena_mark arena_mark(const struct arena *arena);

/** Gives back every block taken since the mark; keeps the memory for later ones. */
void arena_release(struct arena *arena, struct arena_mark mark);

/** Replaces the chunks by one that holds what the arena ever held at once, so that later work of no
 * larger a size, cut into whatever blocks, allocates nothing. Where that is more than `most` bytes
 * (0: no bound) all is freed and forgotten instead. No block may be in use. Without memory for it
 * the arena is left without any. */
void arena_gather(struct arena *arena, size_t most);

#endif
