/* Values live in slabs of an arena with a limit, so that a hostile stream ends there; so do the
 * stack and the memo, whose old places are left behind when they grow. What stands in a container
 * is at least one level less deep than it, and a level above PICKLE_DEPTH_MAX is refused as it is
 * made.
 */
#include "pickle_machine.h"

#include <string.h>

#include "error.h"

#define SLAB       1024              /* values allocated together */
#define MEMO_SLACK ((size_t)1 << 16) /* how far a memo's number may run ahead of their count */

enum vqct_status unpickler_fault(const struct unpickler *u, const char *what) {
  return error_set(u->error, VQCT_MODEL, "%s: pickle, byte %zu: %s", u->name,
                   (size_t)(u->next - u->start), what);
}

static enum vqct_status exhausted(const struct unpickler *u) {
  if (!u->limited)
    return error_set(u->error, VQCT_MEMORY, "%s: memory is exhausted", u->name);
  return error_set(u->error, VQCT_MODEL, "%s: pickle, byte %zu: its values need more than %zu MiB",
                   u->name, (size_t)(u->next - u->start), PICKLE_MEMORY >> 20);
}

/* NULL where memory or the limit is exhausted, which is noted. */
static void *memory_new(struct unpickler *u, size_t size) {
  void *memory = arena_alloc(u->memory, size);
  u->limited = !memory && size > PICKLE_MEMORY - u->memory->total;
  return memory;
}

/* ---- values ---------------------------------------------------------------------------------- */

static struct pickle_value *value_new(struct unpickler *u, enum pickle_kind kind) {
  if (!u->slab_left) {
    u->slab = memory_new(u, SLAB * sizeof *u->slab);
    if (!u->slab)
      return NULL;
    memset(u->slab, 0, SLAB * sizeof *u->slab);
    u->slab_left = SLAB;
  }
  struct pickle_value *value = &u->slab[--u->slab_left];
  value->kind = kind;
  return value;
}

/* Makes room for one more pointer in a growing list of the arena. */
static bool grow(struct unpickler *u, struct pickle_value ***list, size_t count, size_t *room) {
  if (count < *room)
    return true;
  size_t wider = *room ? 2 * *room : 8;
  struct pickle_value **grown = memory_new(u, wider * sizeof(struct pickle_value *));
  if (!grown)
    return false;
  if (count)
    memcpy(grown, *list, count * sizeof(struct pickle_value *));
  *list = grown;
  *room = wider;
  return true;
}

static enum vqct_status append(struct unpickler *u, struct pickle_value *container,
                               struct pickle_value *item) {
  if (item == container)
    return unpickler_fault(u, "a value contains itself");
  if (item->depth + 1 > container->depth)
    container->depth = item->depth + 1;
  if (container->depth > PICKLE_DEPTH_MAX)
    return unpickler_fault(u, "values stand in one another too deep");
  if (!grow(u, &container->item, container->count, &container->room))
    return exhausted(u);
  container->item[container->count++] = item;
  return VQCT_OK;
}

/* ---- stack ----------------------------------------------------------------------------------- */

static enum vqct_status push(struct unpickler *u, struct pickle_value *value) {
  if (!value || !grow(u, &u->stack, u->depth, &u->stack_room))
    return exhausted(u);
  u->stack[u->depth++] = value;
  return VQCT_OK;
}

enum vqct_status unpickler_push_new(struct unpickler *u, enum pickle_kind kind) {
  return push(u, value_new(u, kind));
}

enum vqct_status unpickler_push_integer(struct unpickler *u, enum pickle_kind kind,
                                        int64_t number) {
  struct pickle_value *value = value_new(u, kind);
  if (value)
    value->integer = number;
  return push(u, value);
}

enum vqct_status unpickler_push_real(struct unpickler *u, double number) {
  struct pickle_value *value = value_new(u, PICKLE_REAL);
  if (value)
    value->real = number;
  return push(u, value);
}

static enum vqct_status push_bytes(struct unpickler *u, enum pickle_kind kind, const void *bytes,
                                   size_t size) {
  struct pickle_value *value = value_new(u, kind);
  char *copy = value ? memory_new(u, size + 1) : NULL;
  if (!copy)
    return exhausted(u);
  if (size)
    memcpy(copy, bytes, size);
  copy[size] = '\0';
  value->text = copy;
  value->count = size;
  return push(u, value);
}

enum vqct_status unpickler_push_text(struct unpickler *u, const void *bytes, size_t size) {
  return push_bytes(u, PICKLE_TEXT, bytes, size);
}

enum vqct_status unpickler_push_decoded(struct unpickler *u, pickle_text *decode, const char *from,
                                        size_t length) {
  struct pickle_value *value = value_new(u, PICKLE_TEXT);
  char *copy = value ? memory_new(u, 2 * length + 1) : NULL;
  if (!copy)
    return exhausted(u);
  if (!decode(from, length, copy, &value->count))
    return unpickler_fault(u, "a text with wrong escapes or characters");
  copy[value->count] = '\0';
  value->text = copy;
  return push(u, value);
}

struct pickle_value *unpickler_peek(const struct unpickler *u, size_t below) {
  if (u->depth <= below || u->stack[u->depth - 1 - below]->kind == PICKLE_MARK)
    return NULL;
  return u->stack[u->depth - 1 - below];
}

/* Where the values above the highest mark begin; 0 where there is no mark. */
static size_t above_mark(const struct unpickler *u) {
  size_t at = u->depth;
  while (at > 0 && u->stack[at - 1]->kind != PICKLE_MARK)
    at--;
  return at;
}

/* Puts the stack's values from `first` on into the container and takes them off the stack. */
static enum vqct_status collect(struct unpickler *u, struct pickle_value *container, size_t first) {
  if (container->kind == PICKLE_DICT && (u->depth - first) % 2)
    return unpickler_fault(u, "a dictionary's key has no value");
  for (size_t i = first; i < u->depth; i++) {
    enum vqct_status status = append(u, container, u->stack[i]);
    if (status)
      return status;
  }
  u->depth = first;
  return VQCT_OK;
}

enum vqct_status unpickler_collect_marked(struct unpickler *u, enum pickle_kind kind) {
  size_t first = above_mark(u);
  struct pickle_value *container = value_new(u, kind);
  if (!first)
    return unpickler_fault(u, "there is no mark");
  enum vqct_status status = container ? collect(u, container, first) : exhausted(u);
  u->depth--;
  return status ? status : push(u, container);
}

enum vqct_status unpickler_collect_top(struct unpickler *u, enum pickle_kind kind, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!unpickler_peek(u, i))
      return unpickler_fault(u, "a value is missing");
  struct pickle_value *container = value_new(u, kind);
  enum vqct_status status = container ? collect(u, container, u->depth - count) : exhausted(u);
  return status ? status : push(u, container);
}

/* Adds the values from `first` on to the container that lies `below` places under them. */
static enum vqct_status extend(struct unpickler *u, size_t first, size_t below,
                               enum pickle_kind kind) {
  if (first <= below || u->stack[first - 1 - below]->kind == PICKLE_MARK)
    return unpickler_fault(u, "a value is missing");
  struct pickle_value *container = u->stack[first - 1 - below];
  if (container->kind != kind && container->kind != PICKLE_CALL)
    return unpickler_fault(u, "items are added to what has none");
  enum vqct_status status = container->kind == kind ? collect(u, container, first) : VQCT_OK;
  u->depth = first - below;
  return status;
}

enum vqct_status unpickler_extend_marked(struct unpickler *u, enum pickle_kind kind) {
  size_t first = above_mark(u);
  return first ? extend(u, first, 1, kind) : unpickler_fault(u, "there is no mark");
}

enum vqct_status unpickler_extend_top(struct unpickler *u, size_t count, enum pickle_kind kind) {
  for (size_t i = 0; i < count; i++)
    if (!unpickler_peek(u, i))
      return unpickler_fault(u, "a value is missing");
  return extend(u, u->depth - count, 0, kind);
}

enum vqct_status unpickler_pop(struct unpickler *u) {
  if (!u->depth)
    return unpickler_fault(u, "a value is missing");
  u->depth--;
  return VQCT_OK;
}

enum vqct_status unpickler_pop_mark(struct unpickler *u) {
  size_t first = above_mark(u);
  if (!first)
    return unpickler_fault(u, "there is no mark");
  u->depth = first - 1;
  return VQCT_OK;
}

enum vqct_status unpickler_duplicate(struct unpickler *u) {
  struct pickle_value *top = unpickler_peek(u, 0);
  return top ? push(u, top) : unpickler_fault(u, "a value is missing");
}

/* ---- calls ----------------------------------------------------------------------------------- */

static bool is_global(const struct pickle_value *value, const char *name) {
  return value && value->kind == PICKLE_GLOBAL && strcmp(value->text, name) == 0;
}

/* An ordered dictionary, or one with a default, is a
 * dictionary: whatever it is made of comes later. Bytes came into protocol 3; before, they are
 * characters to be encoded. */
enum vqct_status unpickler_call(struct unpickler *u) {
  const struct pickle_value *callee = unpickler_peek(u, 1), *arguments = unpickler_peek(u, 0);
  if (is_global(callee, "collections OrderedDict") ||
      is_global(callee, "collections defaultdict")) {
    if (!arguments)
      return unpickler_fault(u, "a value is missing");
    u->depth -= 2;
    return unpickler_push_new(u, PICKLE_DICT);
  }
  const struct pickle_value *text = pickle_item(arguments, 0);
  if (is_global(callee, "_codecs encode") && text && text->kind == PICKLE_TEXT) {
    u->depth -= 2;
    return unpickler_push_decoded(u, pickle_text_latin1, text->text, text->count);
  }
  return unpickler_collect_top(u, PICKLE_CALL, 2);
}

/* The state of a plain container is attributes, which do not count. */
enum vqct_status unpickler_build(struct unpickler *u) {
  struct pickle_value *state = unpickler_peek(u, 0), *object = unpickler_peek(u, 1);
  if (!state || !object)
    return unpickler_fault(u, "a value is missing");
  u->depth--;
  if (object->kind != PICKLE_CALL || object == state)
    return VQCT_OK;
  object->count = object->count > 2 ? 2 : object->count; /* a state replaces the one before */
  /* States refer back to their objects, so their depth does not add up. */
  if (!grow(u, &object->item, object->count, &object->room))
    return exhausted(u);
  object->item[object->count++] = state;
  return VQCT_OK;
}

enum vqct_status unpickler_push_global(struct unpickler *u, const char *module, size_t module_size,
                                       const char *name, size_t name_size) {
  char text[256];
  if (module_size > 100 || name_size > 100)
    return unpickler_fault(u, "a global's name is too long");
  memcpy(text, module, module_size);
  text[module_size] = ' ';
  memcpy(text + module_size + 1, name, name_size);
  return push_bytes(u, PICKLE_GLOBAL, text, module_size + 1 + name_size);
}

enum vqct_status unpickler_name_global(struct unpickler *u) {
  const struct pickle_value *name = unpickler_peek(u, 0), *module = unpickler_peek(u, 1);
  if (!name || !module || name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
    return unpickler_fault(u, "a global without a name");
  u->depth -= 2;
  return unpickler_push_global(u, module->text, module->count, name->text, name->count);
}

/* ---- memo ------------------------------------------------------------------------------------ */

enum vqct_status unpickler_remember(struct unpickler *u, uint64_t number) {
  struct pickle_value *value = unpickler_peek(u, 0);
  if (!value)
    return unpickler_fault(u, "a value is missing");
  if (number > u->memos + MEMO_SLACK)
    return unpickler_fault(u, "a memo's number is out of order");
  while (u->memos <= number) {
    if (!grow(u, &u->memo, u->memos, &u->memo_room))
      return exhausted(u);
    u->memo[u->memos++] = NULL;
  }
  u->memo[number] = value;
  return VQCT_OK;
}

enum vqct_status unpickler_recall(struct unpickler *u, uint64_t number) {
  if (number >= u->memos || !u->memo[number])
    return unpickler_fault(u, "a memo is not there");
  return push(u, u->memo[number]);
}
