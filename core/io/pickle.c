/* The stack machine that a pickle is a program for. Every opcode takes its operands from the stream
 * or from the stack's top and leaves a value there; a mark on the stack is where a list of operands
 * begins. Values live in slabs of an arena with a limit, so that a hostile stream ends there.
 */
#include "pickle.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "error.h"
#include "pickle_text.h"

#define SLAB       1024              /* values allocated together */
#define MEMO_SLACK ((size_t)1 << 16) /* how far a memo's number may run ahead of their count */

struct unpickler {
  const char *name;
  const unsigned char *start, *next, *end;
  struct arena *memory;
  struct pickle_value *slab;
  size_t slab_left;
  struct pickle_value **stack;
  size_t depth, stack_room;
  struct pickle_value **memo;
  size_t memos, memo_room;
  bool stopped;
  bool limited; /* what could not be allocated is more than values may take */
  struct vqct_error *error;
};

static enum vqct_status fault(const struct unpickler *u, const char *what) {
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
    return fault(u, "a value contains itself");
  if (item->depth + 1 > container->depth)
    container->depth = item->depth + 1;
  if (container->depth > PICKLE_DEPTH_MAX)
    return fault(u, "values stand in one another too deep");
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

static enum vqct_status push_new(struct unpickler *u, enum pickle_kind kind) {
  return push(u, value_new(u, kind));
}

static enum vqct_status push_integer(struct unpickler *u, enum pickle_kind kind, int64_t number) {
  struct pickle_value *value = value_new(u, kind);
  if (value)
    value->integer = number;
  return push(u, value);
}

static enum vqct_status push_real(struct unpickler *u, double number) {
  struct pickle_value *value = value_new(u, PICKLE_REAL);
  if (value)
    value->real = number;
  return push(u, value);
}

static enum vqct_status push_text(struct unpickler *u, enum pickle_kind kind, const void *bytes,
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

/* A text that is written in another way. */
static enum vqct_status push_decoded(struct unpickler *u, pickle_text *decode, const char *from,
                                     size_t length) {
  struct pickle_value *value = value_new(u, PICKLE_TEXT);
  char *copy = value ? memory_new(u, 2 * length + 1) : NULL;
  if (!copy)
    return exhausted(u);
  if (!decode(from, length, copy, &value->count))
    return fault(u, "a text with wrong escapes or characters");
  copy[value->count] = '\0';
  value->text = copy;
  return push(u, value);
}

/* The value `below` places under the top; NULL where a mark or nothing is there. */
static struct pickle_value *peek(const struct unpickler *u, size_t below) {
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
    return fault(u, "a dictionary's key has no value");
  for (size_t i = first; i < u->depth; i++) {
    enum vqct_status status = append(u, container, u->stack[i]);
    if (status)
      return status;
  }
  u->depth = first;
  return VQCT_OK;
}

/* A new container of the values above the mark, in place of both. */
static enum vqct_status collect_new(struct unpickler *u, enum pickle_kind kind) {
  size_t first = above_mark(u);
  struct pickle_value *container = value_new(u, kind);
  if (!first)
    return fault(u, "there is no mark");
  enum vqct_status status = container ? collect(u, container, first) : exhausted(u);
  u->depth--;
  return status ? status : push(u, container);
}

/* A new container of the topmost values, in their place. */
static enum vqct_status collect_top(struct unpickler *u, enum pickle_kind kind, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!peek(u, i))
      return fault(u, "a value is missing");
  struct pickle_value *container = value_new(u, kind);
  enum vqct_status status = container ? collect(u, container, u->depth - count) : exhausted(u);
  return status ? status : push(u, container);
}

/* Adds the values from `first` on to the container below them; objects that are no containers here
 * lose them, as nobody needs what only a call would make. */
static enum vqct_status extend(struct unpickler *u, size_t first, size_t below,
                               enum pickle_kind kind) {
  if (first <= below || u->stack[first - 1 - below]->kind == PICKLE_MARK)
    return fault(u, "a value is missing");
  struct pickle_value *container = u->stack[first - 1 - below];
  if (container->kind != kind && container->kind != PICKLE_CALL)
    return fault(u, "items are added to what has none");
  enum vqct_status status = container->kind == kind ? collect(u, container, first) : VQCT_OK;
  u->depth = first - below;
  return status;
}

static enum vqct_status extend_marked(struct unpickler *u, enum pickle_kind kind) {
  size_t first = above_mark(u);
  return first ? extend(u, first, 1, kind) : fault(u, "there is no mark");
}

static enum vqct_status extend_top(struct unpickler *u, size_t count, enum pickle_kind kind) {
  for (size_t i = 0; i < count; i++)
    if (!peek(u, i))
      return fault(u, "a value is missing");
  return extend(u, u->depth - count, 0, kind);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static bool is_global(const struct pickle_value *value, const char *name) {
  return value && value->kind == PICKLE_GLOBAL && strcmp(value->text, name) == 0;
}

/* The call of what lies below its arguments. An ordered dictionary, or one with a default, is a
 * dictionary: whatever it is made of comes later. Bytes came into protocol 3; before, they are
 * characters to be encoded. */
static enum vqct_status call(struct unpickler *u) {
  const struct pickle_value *callee = peek(u, 1), *arguments = peek(u, 0);
  if (is_global(callee, "collections OrderedDict") ||
      is_global(callee, "collections defaultdict")) {
    if (!arguments)
      return fault(u, "a value is missing");
    u->depth -= 2;
    return push_new(u, PICKLE_DICT);
  }
  const struct pickle_value *text = pickle_item(arguments, 0);
  if (is_global(callee, "_codecs encode") && text && text->kind == PICKLE_TEXT) {
    u->depth -= 2;
    return push_decoded(u, pickle_text_latin1, text->text, text->count);
  }
  return collect_top(u, PICKLE_CALL, 2);
}

/* Gives the object below the top its state. That of a plain container is attributes, which do not
 * count. */
static enum vqct_status build(struct unpickler *u) {
  struct pickle_value *state = peek(u, 0), *object = peek(u, 1);
  if (!state || !object)
    return fault(u, "a value is missing");
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

static enum vqct_status push_global(struct unpickler *u, const char *module, size_t module_size,
                                    const char *name, size_t name_size) {
  char text[256];
  if (module_size > 100 || name_size > 100)
    return fault(u, "a global's name is too long");
  memcpy(text, module, module_size);
  text[module_size] = ' ';
  memcpy(text + module_size + 1, name, name_size);
  return push_text(u, PICKLE_GLOBAL, text, module_size + 1 + name_size);
}

static enum vqct_status stack_global(struct unpickler *u) {
  const struct pickle_value *name = peek(u, 0), *module = peek(u, 1);
  if (!name || !module || name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
    return fault(u, "a global without a name");
  u->depth -= 2;
  return push_global(u, module->text, module->count, name->text, name->count);
}

/* ---- memo ------------------------------------------------------------------------------------ */

static enum vqct_status remember(struct unpickler *u, uint64_t number) {
  struct pickle_value *value = peek(u, 0);
  if (!value)
    return fault(u, "a value is missing");
  if (number > u->memos + MEMO_SLACK)
    return fault(u, "a memo's number is out of order");
  while (u->memos <= number) {
    if (!grow(u, &u->memo, u->memos, &u->memo_room))
      return exhausted(u);
    u->memo[u->memos++] = NULL;
  }
  u->memo[number] = value;
  return VQCT_OK;
}

static enum vqct_status recall(struct unpickler *u, uint64_t number) {
  if (number >= u->memos || !u->memo[number])
    return fault(u, "a memo is not there");
  return push(u, u->memo[number]);
}

/* ---- operands in the stream ------------------------------------------------------------------ */

static enum vqct_status take(struct unpickler *u, uint64_t size, const unsigned char **bytes) {
  if (size > (uint64_t)(u->end - u->next))
    return fault(u, "the stream ends too early");
  *bytes = u->next;
  u->next += size;
  return VQCT_OK;
}

/* A little-endian number of `size` bytes, at most 8. */
static enum vqct_status take_number(struct unpickler *u, size_t size, uint64_t *number) {
  const unsigned char *bytes = NULL;
  enum vqct_status status = take(u, size, &bytes);
  *number = 0;
  for (size_t i = 0; !status && i < size; i++)
    *number |= (uint64_t)bytes[i] << 8 * i;
  return status;
}

/* A line without its newline. */
static enum vqct_status take_line(struct unpickler *u, const char **line, size_t *length) {
  const unsigned char *newline = memchr(u->next, '\n', (size_t)(u->end - u->next));
  if (!newline)
    return fault(u, "the stream ends too early");
  *line = (const char *)u->next;
  *length = (size_t)(newline - u->next);
  u->next = newline + 1;
  return VQCT_OK;
}

/* A text after its length, which has `size` bytes. */
static enum vqct_status take_text(struct unpickler *u, size_t size) {
  uint64_t length = 0;
  const unsigned char *bytes = NULL;
  enum vqct_status status = take_number(u, size, &length);
  if (!status)
    status = take(u, length, &bytes);
  return status ? status : push_text(u, PICKLE_TEXT, bytes, (size_t)length);
}

/* A two's complement number after its length, which has `size` bytes. */
static enum vqct_status take_long(struct unpickler *u, size_t size) {
  uint64_t length = 0, number = 0;
  const unsigned char *bytes = NULL;
  enum vqct_status status = take_number(u, size, &length);
  if (!status)
    status = take(u, length, &bytes);
  if (status)
    return status;
  if (length > 8)
    return push_new(u, PICKLE_LARGE);
  for (size_t i = 0; i < length; i++)
    number |= (uint64_t)bytes[i] << 8 * i;
  if (length && length < 8 && bytes[length - 1] & 0x80)
    number |= UINT64_MAX << 8 * length;
  return push_integer(u, PICKLE_INTEGER, (int64_t)number);
}

static enum vqct_status take_double(struct unpickler *u) {
  const unsigned char *bytes = NULL;
  enum vqct_status status = take(u, 8, &bytes);
  if (status)
    return status;
  uint64_t bits = 0;
  double number;
  for (int i = 0; i < 8; i++)
    bits = bits << 8 | bytes[i];
  memcpy(&number, &bits, sizeof number);
  return push_real(u, number);
}

/* A whole number as text, as protocol 0 has them; it also says 00 and 01 for truth values, and ends
 * long ones with an L. */
static enum vqct_status take_decimal(struct unpickler *u) {
  char text[64], *end;
  const char *line = NULL;
  size_t length = 0;
  enum vqct_status status = take_line(u, &line, &length);
  if (status)
    return status;
  if (length && line[length - 1] == 'L')
    length--;
  size_t sign = length && line[0] == '-';
  if (length == sign || strspn(line + sign, "0123456789") != length - sign)
    return fault(u, "a number that is none");
  if (length == 2 && line[0] == '0' && (line[1] == '0' || line[1] == '1'))
    return push_integer(u, PICKLE_BOOLEAN, line[1] - '0');
  if (length >= sizeof text)
    return push_new(u, PICKLE_LARGE);
  memcpy(text, line, length);
  text[length] = '\0';
  errno = 0;
  long long integer = strtoll(text, &end, 10);
  return errno ? push_new(u, PICKLE_LARGE) : push_integer(u, PICKLE_INTEGER, integer);
}

static enum vqct_status take_real(struct unpickler *u) {
  const char *line = NULL;
  size_t length = 0;
  double real;
  enum vqct_status status = take_line(u, &line, &length);
  if (status)
    return status;
  if (decimal_parse(line, length, &real))
    return push_real(u, real);
  if (length == 3 && memcmp(line, "nan", 3) == 0)
    return push_real(u, NAN);
  size_t sign = length && line[0] == '-';
  if (length == sign + 3 && memcmp(line + sign, "inf", 3) == 0)
    return push_real(u, sign ? -INFINITY : INFINITY);
  return fault(u, "a number that is none");
}

/* A text without quotes, or Python 2's with them. */
static enum vqct_status take_line_text(struct unpickler *u, bool quoted) {
  const char *line = NULL;
  size_t length = 0;
  enum vqct_status status = take_line(u, &line, &length);
  if (status)
    return status;
  if (!quoted)
    return push_decoded(u, pickle_text_raw, line, length);
  if (length < 2 || (line[0] != '\'' && line[0] != '"') || line[length - 1] != line[0])
    return fault(u, "a text without quotes");
  return push_decoded(u, pickle_text_printed, line + 1, length - 2);
}

static enum vqct_status take_global(struct unpickler *u) {
  const char *module = NULL, *name = NULL;
  size_t module_size = 0, name_size = 0;
  enum vqct_status status = take_line(u, &module, &module_size);
  if (!status)
    status = take_line(u, &name, &name_size);
  return status ? status : push_global(u, module, module_size, name, name_size);
}

static enum vqct_status take_memo(struct unpickler *u, size_t size, bool put) {
  uint64_t number;
  enum vqct_status status = take_number(u, size, &number);
  if (status)
    return status;
  return put ? remember(u, number) : recall(u, number);
}

static enum vqct_status take_memo_line(struct unpickler *u, bool put) {
  enum vqct_status status = take_decimal(u);
  if (status)
    return status;
  if (u->stack[--u->depth]->kind != PICKLE_INTEGER)
    return fault(u, "a memo's number is none");
  int64_t number = u->stack[u->depth]->integer;
  return put ? remember(u, (uint64_t)number) : recall(u, (uint64_t)number);
}

static enum vqct_status take_outside_line(struct unpickler *u) {
  enum vqct_status status = take_line_text(u, false);
  return status ? status : collect_top(u, PICKLE_OUTSIDE, 1);
}

/* ---- opcodes --------------------------------------------------------------------------------- */

static enum vqct_status pop(struct unpickler *u) {
  if (!u->depth)
    return fault(u, "a value is missing");
  u->depth--;
  return VQCT_OK;
}

static enum vqct_status pop_mark(struct unpickler *u) {
  size_t first = above_mark(u);
  if (!first)
    return fault(u, "there is no mark");
  u->depth = first - 1;
  return VQCT_OK;
}

static enum vqct_status duplicate(struct unpickler *u) {
  struct pickle_value *top = peek(u, 0);
  return top ? push(u, top) : fault(u, "a value is missing");
}

static enum vqct_status skip(struct unpickler *u, size_t size) {
  const unsigned char *bytes = NULL;
  return take(u, size, &bytes);
}

/* Integers in the stream: one of 4 bytes has a sign, shorter ones have none. */
static enum vqct_status take_integer(struct unpickler *u, size_t size) {
  uint64_t number;
  enum vqct_status status = take_number(u, size, &number);
  if (status)
    return status;
  return push_integer(u, PICKLE_INTEGER,
                      size == 4 ? (int64_t)(int32_t)(uint32_t)number : (int64_t)number);
}

static enum vqct_status step_containers(struct unpickler *u, unsigned char opcode) {
  switch (opcode) {
  case '(':
    return push_new(u, PICKLE_MARK);
  case ')':
  case ']':
  case 0x8f:
    return push_new(u, PICKLE_LIST);
  case '}':
    return push_new(u, PICKLE_DICT);
  case 't':
  case 'l':
  case 0x91:
    return collect_new(u, PICKLE_LIST);
  case 'd':
    return collect_new(u, PICKLE_DICT);
  case 0x85:
  case 0x86:
  case 0x87:
    return collect_top(u, PICKLE_LIST, opcode - 0x84U);
  case 'a':
    return extend_top(u, 1, PICKLE_LIST);
  case 's':
    return extend_top(u, 2, PICKLE_DICT);
  case 'e':
  case 0x90:
    return extend_marked(u, PICKLE_LIST);
  case 'u':
    return extend_marked(u, PICKLE_DICT);
  case 'c':
    return take_global(u);
  case 0x93:
    return stack_global(u);
  case 'R':
  case 0x81:
    return call(u);
  case 0x92:
    return collect_top(u, PICKLE_CALL, 3);
  case 'b':
    return build(u);
  case 'P':
    return take_outside_line(u);
  case 'Q':
    return collect_top(u, PICKLE_OUTSIDE, 1);
  default:
    return fault(u, "an opcode that is not known or not allowed");
  }
}

static enum vqct_status step(struct unpickler *u, unsigned char opcode) {
  switch (opcode) {
  case 0x80:
    return skip(u, 1); /* the protocol's number */
  case 0x95:
    return skip(u, 8); /* a frame's length */
  case '.':
    u->stopped = true;
    return VQCT_OK;
  case '0':
    return pop(u);
  case '1':
    return pop_mark(u);
  case '2':
    return duplicate(u);
  case 'N':
    return push_new(u, PICKLE_NONE);
  case 0x88:
    return push_integer(u, PICKLE_BOOLEAN, 1);
  case 0x89:
    return push_integer(u, PICKLE_BOOLEAN, 0);
  case 'J':
    return take_integer(u, 4);
  case 'K':
    return take_integer(u, 1);
  case 'M':
    return take_integer(u, 2);
  case 'I':
  case 'L':
    return take_decimal(u);
  case 'F':
    return take_real(u);
  case 0x8a:
    return take_long(u, 1);
  case 0x8b:
    return take_long(u, 4);
  case 'G':
    return take_double(u);
  case 'U':
  case 'C':
  case 0x8c:
    return take_text(u, 1);
  case 'T':
  case 'B':
  case 'X':
    return take_text(u, 4);
  case 0x8d:
  case 0x8e:
  case 0x96:
    return take_text(u, 8);
  case 'V':
    return take_line_text(u, false);
  case 'S':
    return take_line_text(u, true);
  case 'g':
    return take_memo_line(u, false);
  case 'p':
    return take_memo_line(u, true);
  case 'h':
    return take_memo(u, 1, false);
  case 'j':
    return take_memo(u, 4, false);
  case 'q':
    return take_memo(u, 1, true);
  case 'r':
    return take_memo(u, 4, true);
  case 0x94:
    return remember(u, u->memos);
  default:
    return step_containers(u, opcode);
  }
}

enum vqct_status pickle_read(const char *name, const void *bytes, size_t size,
                             struct pickle *pickle, struct vqct_error *error) {
  struct unpickler u = {.name = name, .start = bytes, .memory = &pickle->memory, .error = error};
  enum vqct_status status = VQCT_OK;
  *pickle = (struct pickle){0};
  if (size > PICKLE_BYTES_MAX)
    return error_set(error, VQCT_MODEL, "%s: a pickle of %zu MiB: at most %zu are read", name,
                     size >> 20, PICKLE_BYTES_MAX >> 20);
  arena_init(&pickle->memory, PICKLE_MEMORY);
  u.next = u.start;
  u.end = u.start + size;
  while (!status && !u.stopped) {
    if (u.next == u.end)
      status = fault(&u, "the stream ends too early");
    else
      status = step(&u, *u.next++);
  }
  if (!status && (u.depth != 1 || !peek(&u, 0)))
    status = fault(&u, "the stream does not end with one value");
  if (status) {
    pickle_free(pickle);
    return status;
  }
  pickle->root = u.stack[0];
  pickle->bytes = (size_t)(u.next - u.start);
  return VQCT_OK;
}

void pickle_free(struct pickle *pickle) {
  arena_free(&pickle->memory);
  *pickle = (struct pickle){0};
}

const struct pickle_value *pickle_find(const struct pickle_value *dict, const char *key) {
  size_t length = strlen(key);
  for (size_t i = dict && dict->kind == PICKLE_DICT ? dict->count : 0; i >= 2; i -= 2) {
    const struct pickle_value *at = dict->item[i - 2];
    if (at->kind == PICKLE_TEXT && at->count == length && memcmp(at->text, key, length) == 0)
      return dict->item[i - 1];
  }
  return NULL;
}

int pickle_is_call(const struct pickle_value *value, const char *global) {
  return value && value->kind == PICKLE_CALL && value->item[0]->kind == PICKLE_GLOBAL &&
         strcmp(value->item[0]->text, global) == 0;
}

const char *pickle_class(const struct pickle_value *value) {
  if (!value || value->kind != PICKLE_CALL)
    return NULL;
  const struct pickle_value *made = value->item[0];
  if (pickle_is_call(value, "copyreg _reconstructor") ||
      pickle_is_call(value, "copy_reg _reconstructor"))
    made = pickle_item(value->item[1], 0);
  return made && made->kind == PICKLE_GLOBAL ? made->text : NULL;
}

const struct pickle_value *pickle_item(const struct pickle_value *list, size_t index) {
  return list && list->kind == PICKLE_LIST && index < list->count ? list->item[index] : NULL;
}
