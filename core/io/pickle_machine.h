/* The stack machine that a pickle is a program for. Its operations take values from the top of the
 * stack and leave one there; a mark on the stack is where a list of operands begins. What a program
 * of Python would call is kept as a value, and nothing is called. Inner to pickle*.c.
 *
 * Unless they say otherwise, functions fail with MODEL (a value is missing or of another kind, or a
 * bound is reached: the message names the byte) or MEMORY.
 */
#ifndef IO_PICKLE_MACHINE_H
#define IO_PICKLE_MACHINE_H

#include <stdbool.h>

#include "arena.h"
#include "pickle_text.h"
#include "pickle_value.h"
#include "vqct/status.h"

#define PICKLE_MEMORY    ((size_t)512 << 20) /* bytes that values, stack and memo may take */
#define PICKLE_DEPTH_MAX 200                 /* containers in one another */

struct unpickler {
  const char *name;                        /* in messages */
  const unsigned char *start, *next, *end; /* of the stream */
  struct arena *memory;                    /* of PICKLE_MEMORY */
  struct pickle_value *slab;               /* values that are not used yet: slab_left of them */
  size_t slab_left;
  struct pickle_value **stack; /* depth of them */
  size_t depth, stack_room;
  struct pickle_value **memo; /* memos of them; NULL: not there */
  size_t memos, memo_room;
  bool stopped;
  bool limited; /* what could not be allocated is more than values may take */
  struct vqct_error *error;
};

/** MODEL, with the byte that is next and what is wrong. */
enum vqct_status unpickler_fault(const struct unpickler *u, const char *what);

/* ---- values onto the stack ------------------------------------------------------------------- */

/** An empty container, a mark, or a value of which the kind says all. */
enum vqct_status unpickler_push_new(struct unpickler *u, enum pickle_kind kind);

/** A PICKLE_INTEGER or PICKLE_BOOLEAN. */
enum vqct_status unpickler_push_integer(struct unpickler *u, enum pickle_kind kind, int64_t number);

enum vqct_status unpickler_push_real(struct unpickler *u, double number);

/** A copy of the bytes. */
enum vqct_status unpickler_push_text(struct unpickler *u, const void *bytes, size_t size);

/** A text that is written in another way. */
enum vqct_status unpickler_push_decoded(struct unpickler *u, pickle_text *decode, const char *from,
                                        size_t length);

/** A global by its two names, each of at most 100 bytes. */
enum vqct_status unpickler_push_global(struct unpickler *u, const char *module, size_t module_size,
                                       const char *name, size_t name_size);

/* ---- the top of the stack -------------------------------------------------------------------- */

/** The value `below` places under the top; NULL where a mark or nothing is there. */
struct pickle_value *unpickler_peek(const struct unpickler *u, size_t below);

/** Takes the top off, or all down to the highest mark, with it. */
enum vqct_status unpickler_pop(struct unpickler *u);
enum vqct_status unpickler_pop_mark(struct unpickler *u);

/** The top once more. */
enum vqct_status unpickler_duplicate(struct unpickler *u);

/* ---- containers ------------------------------------------------------------------------------ */

/** A new container of the values above the mark, in place of both. */
enum vqct_status unpickler_collect_marked(struct unpickler *u, enum pickle_kind kind);

/** A new container of the topmost values, in their place. */
enum vqct_status unpickler_collect_top(struct unpickler *u, enum pickle_kind kind, size_t count);

/** Adds the values above the mark, or the topmost ones, to the container of `kind` below them.
 * Objects that are no containers here lose them, as nobody needs what only a call would make. */
enum vqct_status unpickler_extend_marked(struct unpickler *u, enum pickle_kind kind);
enum vqct_status unpickler_extend_top(struct unpickler *u, size_t count, enum pickle_kind kind);

/* ---- objects --------------------------------------------------------------------------------- */

/** A global in place of its two names. */
enum vqct_status unpickler_name_global(struct unpickler *u);

/** The call of what lies below its arguments, in place of both. */
enum vqct_status unpickler_call(struct unpickler *u);

/** Gives the object below the top its state, the top. */
enum vqct_status unpickler_build(struct unpickler *u);

/* ---- memo ------------------------------------------------------------------------------------ */

/** Keeps the top under a number, or pushes what is kept there. */
enum vqct_status unpickler_remember(struct unpickler *u, uint64_t number);
enum vqct_status unpickler_recall(struct unpickler *u, uint64_t number);

#endif
