/* A parser of the dictionaries of RFC 8941 that keeps one member, `u`. Each function reads one
 * thing of the grammar (section 4.2) from the cursor on and returns whether it is there; nothing
 * nests but an inner list in a dictionary, so nothing recurs. */
#include "priority.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define DIGITS       "0123456789"
#define LOWER        "abcdefghijklmnopqrstuvwxyz"
#define ALPHA        LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define KEY_CHARS    LOWER DIGITS "_-.*"
#define TOKEN_CHARS  ALPHA DIGITS "!#$%&'*+-.^_`|~:/"
#define BASE64_CHARS ALPHA DIGITS "+/="
#define INTEGER_MAX  15 /* digits */
#define WHOLE_MAX    12 /* of a decimal */
#define FRACTION_MAX 3
#define NOT_INTEGER  INT64_MIN

struct cursor {
  const char *at;
  int64_t integer; /* the bare item that was read last, if it is one */
};

static bool skip_char(struct cursor *cursor, char c) {
  bool there = *cursor->at == c;
  cursor->at += there;
  return there;
}

static bool skip_all(struct cursor *cursor, const char *chars) {
  size_t length = strspn(cursor->at, chars);
  cursor->at += length;
  return length > 0;
}

static bool read_number(struct cursor *cursor) {
  bool negative = skip_char(cursor, '-');
  size_t whole = strspn(cursor->at, DIGITS);
  if (whole == 0 || whole > INTEGER_MAX)
    return false;
  int64_t number = 0;
  for (size_t i = 0; i < whole; i++)
    number = 10 * number + (*cursor->at++ - '0');
  if (!skip_char(cursor, '.')) {
    cursor->integer = negative ? -number : number;
    return true;
  }
  size_t fraction = strspn(cursor->at, DIGITS);
  cursor->at += fraction;
  return whole <= WHOLE_MAX && fraction > 0 && fraction <= FRACTION_MAX;
}

static bool read_string(struct cursor *cursor) {
  for (; *cursor->at != '"'; cursor->at++) {
    if (*cursor->at == '\\' && cursor->at[1] != '"' && cursor->at[1] != '\\')
      return false;
    cursor->at += *cursor->at == '\\';
    if (*cursor->at < ' ' || *cursor->at > '~') /* its end, too */
      return false;
  }
  cursor->at++;
  return true;
}

static bool read_bytes(struct cursor *cursor) {
  skip_all(cursor, BASE64_CHARS);
  return skip_char(cursor, ':');
}

static bool read_bare_item(struct cursor *cursor) {
  cursor->integer = NOT_INTEGER;
  if (*cursor->at == '-' || (*cursor->at && strchr(DIGITS, *cursor->at)))
    return read_number(cursor);
  if (skip_char(cursor, '"'))
    return read_string(cursor);
  if (skip_char(cursor, ':'))
    return read_bytes(cursor);
  if (skip_char(cursor, '?'))
    return skip_char(cursor, '0') || skip_char(cursor, '1');
  return *cursor->at && strchr(ALPHA "*", *cursor->at) && skip_all(cursor, TOKEN_CHARS);
}

static bool read_key(struct cursor *cursor) {
  return *cursor->at && strchr(LOWER "*", *cursor->at) && skip_all(cursor, KEY_CHARS);
}

static bool read_parameters(struct cursor *cursor) {
  while (skip_char(cursor, ';')) {
    skip_all(cursor, " ");
    if (!read_key(cursor) || (skip_char(cursor, '=') && !read_bare_item(cursor)))
      return false;
  }
  return true;
}

static bool read_inner_list(struct cursor *cursor) {
  for (;;) {
    skip_all(cursor, " ");
    if (skip_char(cursor, ')'))
      return true;
    if (!read_bare_item(cursor) || !read_parameters(cursor) ||
        (*cursor->at != ' ' && *cursor->at != ')'))
      return false;
  }
}

/* A member of the dictionary; *urgency is what it says where its key is u. Of members with one key
 * the last counts, whatever it says. */
static bool read_member(struct cursor *cursor, int64_t *urgency) {
  const char *key = cursor->at;
  if (!read_key(cursor))
    return false;
  bool is_urgency = cursor->at - key == 1 && *key == 'u';
  int64_t value = NOT_INTEGER;
  if (skip_char(cursor, '=')) {
    bool list = skip_char(cursor, '(');
    if (list ? !read_inner_list(cursor) : !read_bare_item(cursor))
      return false;
    value = list ? NOT_INTEGER : cursor->integer;
  }
  if (is_urgency)
    *urgency = value;
  return read_parameters(cursor);
}

unsigned priority_urgency(const char *value) {
  struct cursor cursor = {.at = value};
  int64_t urgency = NOT_INTEGER;
  skip_all(&cursor, " ");
  for (bool comma = false; *cursor.at || comma;) { /* none may end it */
    if (!read_member(&cursor, &urgency))
      return URGENCY_DEFAULT;
    skip_all(&cursor, " \t");
    comma = skip_char(&cursor, ',');
    if (!comma && *cursor.at)
      return URGENCY_DEFAULT;
    skip_all(&cursor, " \t");
  }
  return urgency >= 0 && urgency <= URGENCY_MAX ? (unsigned)urgency : URGENCY_DEFAULT;
}
