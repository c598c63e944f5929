/* A file's bytes in memory, read through the page cache. */
#ifndef IO_MAPPED_FILE_H
#define IO_MAPPED_FILE_H

#include <stddef.h>

#include "vqct/status.h"

struct mapped_file {
  const unsigned char *data; /* NULL for an empty file */
  size_t size;
};

/** Maps a regular file for reading. It may be replaced (by rename) or removed meanwhile, but must
 * not be shortened in place: the kernel ends a process that reads past the new end. Errors: READ,
 * naming the file; the record is then empty. */
enum vqct_status mapped_file_open(const char *path, struct mapped_file *file,
                                  struct vqct_error *error);

/** The same for a file that is open, which may be closed afterwards; name stands in messages. */
enum vqct_status mapped_file_of(int descriptor, const char *name, struct mapped_file *file,
                                struct vqct_error *error);

/** Reads a regular file into memory, for files that may be overwritten or shortened in place while
 * they are read: what then comes is a mixture or an error, and never ends the process. Errors:
 * READ, MEMORY; the record is then empty. */
enum vqct_status mapped_file_copy(const char *path, struct mapped_file *file,
                                  struct vqct_error *error);

/** Gives the memory of the whole pages within some of the bytes back, which must not be read again:
 * those of a copy are lost. */
void mapped_file_discard(const struct mapped_file *file, const void *data, size_t size);

/** Unmaps and clears; may be called again. */
void mapped_file_close(struct mapped_file *file);

#endif
