/* A file's bytes, read into memory from malloc. */
#ifndef IO_WHOLE_FILE_H
#define IO_WHOLE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

struct whole_file {
  uint8_t *data; /* NULL for an empty file; the caller frees it */
  size_t size;
};

/** The size of an open file, if it is a regular one; name stands in messages. Errors: READ. */
enum vqct_status whole_file_size(int descriptor, const char *name, size_t *size,
                                 struct vqct_error *error);

/** Opens a regular file for reading, and finds its size; -1 after an error. Errors: READ, naming
 * the file. */
int whole_file_open(const char *path, size_t *size, struct vqct_error *error);

/** Reads `size` bytes from the beginning of an open file; name stands in messages. Errors: READ,
 * also where there are fewer. */
enum vqct_status whole_file_fill(int descriptor, const char *name, void *data, size_t size,
                                 struct vqct_error *error);

/** Reads a regular file of at most `limit` bytes, which is checked before memory is taken. It may
 * be overwritten or shortened meanwhile: what then comes is a mixture or an error. Errors: READ,
 * LIMIT, MEMORY, naming the file; the record is then empty. */
enum vqct_status whole_file_read(const char *path, uint64_t limit, struct whole_file *file,
                                 struct vqct_error *error);

#endif
