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
 * The stream's length, the memory, and how deep values stand in one another are bounded.
 */
#ifndef IO_PICKLE_H
#define IO_PICKLE_H

#include <stddef.h>

#include "arena.h"
#include "pickle_value.h"
#include "vqct/status.h"

#define PICKLE_BYTES_MAX ((size_t)64 << 20) /* of a stream */

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

#endif
