/* What lies beside a picture under its key, as webdataset has it: the name up to the first dot of
 * its last part. Beside photos/7.jpg lies photos/7.cls, and beside a member of an archive another
 * of the same archive. It is read only once it is opened; any number of threads may read.
 */
#ifndef DATA_BESIDE_H
#define DATA_BESIDE_H

#include "pictures.h"

struct beside;

/** One file; `found` false where there is none. */
struct beside_bytes {
  bool found;
  const uint8_t *data;
  size_t size;
  void *owned; /* NULL: they are a view of an archive */
};

/** Bytes of a picture's name that are its key. */
size_t beside_key(const char *name);

/** The list outlives the result. Errors: MEMORY; *beside is then NULL. */
enum vqct_status beside_open(const struct pictures *pictures, struct beside **beside,
                             struct vqct_error *error);

/** NULL is allowed. */
void beside_close(struct beside *beside);

/** The file KEY+ending (such as ".cls") beside number `index`, of at most `limit` bytes; the caller
 * ends it with beside_release. Errors: READ, DATA, LIMIT, MEMORY, naming it. */
enum vqct_status beside_read(const struct beside *beside, size_t index, const char *ending,
                             uint64_t limit, struct beside_bytes *bytes, struct vqct_error *error);

/** May be called again. */
void beside_release(struct beside_bytes *bytes);

#endif
