/* Python's pickles as inert values.
 *
 *   struct pickle pickle;
 *   if (pickle_read("words.pkl", bytes, size, &pickle, &error) == VQCT_OK) {
 *     const struct pickle_value *edges = pickle_find(pickle.root, "adj_noun_edges");
 *     ...
 *     pickle_free(&pickle);
 *   }
 *
 * A pickle is a program. Here it only builds numbers, texts, lists and dictionaries: a global is
 * kept as its name, a call as what would be called and with what, and nothing is ever executed.
 * The stream's length, the memory, and how deep values stand in one another are bounded. A value
 * may stand in several places, and through objects' states it may even contain itself: who walks
 * through values must bound its way.
 */
#ifndef IO_PICKLE_H
#define IO_PICKLE_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "vqct/status.h"

#define PICKLE_BYTES_MAX ((size_t)64 << 20)  /* of a stream */
#define PICKLE_MEMORY    ((size_t)512 << 20) /* bytes that its values may take */
#define PICKLE_DEPTH_MAX 200

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
  PICKLE_MARK     /* of the reader alone */
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

struct pickle {
  const struct pickle_value *root;
  size_t bytes; /* of the stream, up to and with its end mark */
  struct arena memory;
};

/** Reads a stream of protocol 0 to 5, up to its end mark. `name` stands in messages. Errors: MODEL
 * (naming the byte and the fault), MEMORY; the record is then empty. */
enum vqct_status pickle_read(const char *name, const void *bytes, size_t size,
                             struct pickle *pickle, struct vqct_error *error);

/** Frees; an empty one is allowed. */
void pickle_free(struct pickle *pickle);

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
