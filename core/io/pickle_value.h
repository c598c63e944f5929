/* What a pickle builds: numbers, texts and containers of them. A value may stand in several places,
 * and through objects' states it may even contain itself: who walks through values must bound its
 * way.
 */
#ifndef IO_PICKLE_VALUE_H
#define IO_PICKLE_VALUE_H

#include <stddef.h>
#include <stdint.h>

enum pickle_kind {
  PICKLE_NONE,
  PICKLE_BOOLEAN, /* integer 0 or 1 */
  PICKLE_INTEGER, /* integer */
  PICKLE_REAL,    /* real */
  PICKLE_TEXT,    /* text of count bytes; not always UTF-8, it may hold zero bytes */
  PICKLE_LIST,    /* count items; lists, tuples and sets */
  PICKLE_DICT,    /* count items: keys and values by turns */
  PICKLE_GLOBAL,  /* text: "module name" */
  PICKLE_CALL,    /* items: what is called, its arguments, and the object's state if there is one */
  PICKLE_OUTSIDE, /* one item: the name of something outside the stream */
  PICKLE_LARGE,   /* a whole number of more than 64 bits */
  PICKLE_MARK     /* of the machine alone */
};

struct pickle_value {
  enum pickle_kind kind;
  uint32_t depth; /* containers that stand in one another below this one */
  size_t count, room;
  union {
    int64_t integer;
    double real;
    const char *text; /* zero-terminated */
    struct pickle_value **item;
  };
};

/** The value of a key of a dictionary (the last, where it stands there more than once); NULL where
 * there is none, or no dictionary. */
const struct pickle_value *pickle_find(const struct pickle_value *dict, const char *key);

/** Whether a value is a call of this global, "module name". */
int pickle_is_call(const struct pickle_value *value, const char *global);

/** The class that a call makes an object of, or the function that it calls: "module name"; NULL
 * where there is no such call or it is not named. */
const char *pickle_class(const struct pickle_value *value);

/** Item number `index` of a list; NULL where there is none, or no list. */
const struct pickle_value *pickle_item(const struct pickle_value *list, size_t index);

#endif
