/* A pickle's stream: every opcode takes its operands from the stream or from the stack's top, and
 * leaves a value there (pickle_machine.h). How operands are written comes first; then which opcode
 * has which, in two switches.
 */
#include "pickle.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "error.h"
#include "pickle_machine.h"

/* ---- operands in the stream ------------------------------------------------------------------ */

static enum vqct_status take(struct unpickler *u, uint64_t size, const unsigned char **bytes) {
  if (size > (uint64_t)(u->end - u->next))
    return unpickler_fault(u, "the stream ends too early");
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
    return unpickler_fault(u, "the stream ends too early");
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
  return status ? status : unpickler_push_text(u, bytes, (size_t)length);
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
    return unpickler_push_new(u, PICKLE_LARGE);
  for (size_t i = 0; i < length; i++)
    number |= (uint64_t)bytes[i] << 8 * i;
  if (length && length < 8 && bytes[length - 1] & 0x80)
    number |= UINT64_MAX << 8 * length;
  return unpickler_push_integer(u, PICKLE_INTEGER, (int64_t)number);
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
  return unpickler_push_real(u, number);
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
    return unpickler_fault(u, "a number that is none");
  if (length == 2 && line[0] == '0' && (line[1] == '0' || line[1] == '1'))
    return unpickler_push_integer(u, PICKLE_BOOLEAN, line[1] - '0');
  if (length >= sizeof text)
    return unpickler_push_new(u, PICKLE_LARGE);
  memcpy(text, line, length);
  text[length] = '\0';
  errno = 0;
  long long integer = strtoll(text, &end, 10);
  return errno ? unpickler_push_new(u, PICKLE_LARGE)
               : unpickler_push_integer(u, PICKLE_INTEGER, integer);
}

static enum vqct_status take_real(struct unpickler *u) {
  const char *line = NULL;
  size_t length = 0;
  double real;
  enum vqct_status status = take_line(u, &line, &length);
  if (status)
    return status;
  if (decimal_parse(line, length, &real))
    return unpickler_push_real(u, real);
  if (length == 3 && memcmp(line, "nan", 3) == 0)
    return unpickler_push_real(u, NAN);
  size_t sign = length && line[0] == '-';
  if (length == sign + 3 && memcmp(line + sign, "inf", 3) == 0)
    return unpickler_push_real(u, sign ? -INFINITY : INFINITY);
  return unpickler_fault(u, "a number that is none");
}

/* A text without quotes, or Python 2's with them. */
static enum vqct_status take_line_text(struct unpickler *u, bool quoted) {
  const char *line = NULL;
  size_t length = 0;
  enum vqct_status status = take_line(u, &line, &length);
  if (status)
    return status;
  if (!quoted)
    return unpickler_push_decoded(u, pickle_text_raw, line, length);
  if (length < 2 || (line[0] != '\'' && line[0] != '"') || line[length - 1] != line[0])
    return unpickler_fault(u, "a text without quotes");
  return unpickler_push_decoded(u, pickle_text_printed, line + 1, length - 2);
}

static enum vqct_status take_global(struct unpickler *u) {
  const char *module = NULL, *name = NULL;
  size_t module_size = 0, name_size = 0;
  enum vqct_status status = take_line(u, &module, &module_size);
  if (!status)
    status = take_line(u, &name, &name_size);
  return status ? status : unpickler_push_global(u, module, module_size, name, name_size);
}

static enum vqct_status take_memo(struct unpickler *u, size_t size, bool put) {
  uint64_t number;
  enum vqct_status status = take_number(u, size, &number);
  if (status)
    return status;
  return put ? unpickler_remember(u, number) : unpickler_recall(u, number);
}

static enum vqct_status take_memo_line(struct unpickler *u, bool put) {
  enum vqct_status status = take_decimal(u);
  if (status)
    return status;
  const struct pickle_value *top = unpickler_peek(u, 0);
  unpickler_pop(u);
  if (top->kind != PICKLE_INTEGER)
    return unpickler_fault(u, "a memo's number is none");
  int64_t number = top->integer;
  return put ? unpickler_remember(u, (uint64_t)number) : unpickler_recall(u, (uint64_t)number);
}

static enum vqct_status take_outside_line(struct unpickler *u) {
  enum vqct_status status = take_line_text(u, false);
  return status ? status : unpickler_collect_top(u, PICKLE_OUTSIDE, 1);
}

/* ---- opcodes --------------------------------------------------------------------------------- */

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
  return unpickler_push_integer(u, PICKLE_INTEGER,
                                size == 4 ? (int64_t)(int32_t)(uint32_t)number : (int64_t)number);
}

static enum vqct_status step_containers(struct unpickler *u, unsigned char opcode) {
  switch (opcode) {
  case '(':
    return unpickler_push_new(u, PICKLE_MARK);
  case ')':
  case ']':
  case 0x8f:
    return unpickler_push_new(u, PICKLE_LIST);
  case '}':
    return unpickler_push_new(u, PICKLE_DICT);
  case 't':
  case 'l':
  case 0x91:
    return unpickler_collect_marked(u, PICKLE_LIST);
  case 'd':
    return unpickler_collect_marked(u, PICKLE_DICT);
  case 0x85:
  case 0x86:
  case 0x87:
    return unpickler_collect_top(u, PICKLE_LIST, opcode - 0x84U);
  case 'a':
    return unpickler_extend_top(u, 1, PICKLE_LIST);
  case 's':
    return unpickler_extend_top(u, 2, PICKLE_DICT);
  case 'e':
  case 0x90:
    return unpickler_extend_marked(u, PICKLE_LIST);
  case 'u':
    return unpickler_extend_marked(u, PICKLE_DICT);
  case 'c':
    return take_global(u);
  case 0x93:
    return unpickler_name_global(u);
  case 'R':
  case 0x81:
    return unpickler_call(u);
  case 0x92:
    return unpickler_collect_top(u, PICKLE_CALL, 3);
  case 'b':
    return unpickler_build(u);
  case 'P':
    return take_outside_line(u);
  case 'Q':
    return unpickler_collect_top(u, PICKLE_OUTSIDE, 1);
  default:
    return unpickler_fault(u, "an opcode that is not known or not allowed");
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
    return unpickler_pop(u);
  case '1':
    return unpickler_pop_mark(u);
  case '2':
    return unpickler_duplicate(u);
  case 'N':
    return unpickler_push_new(u, PICKLE_NONE);
  case 0x88:
    return unpickler_push_integer(u, PICKLE_BOOLEAN, 1);
  case 0x89:
    return unpickler_push_integer(u, PICKLE_BOOLEAN, 0);
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
    return unpickler_remember(u, u->memos);
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
      status = unpickler_fault(&u, "the stream ends too early");
    else
      status = step(&u, *u.next++);
  }
  if (!status && (u.depth != 1 || !unpickler_peek(&u, 0)))
    status = unpickler_fault(&u, "the stream does not end with one value");
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
