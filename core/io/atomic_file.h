/* A file that appears whole or not at all.
 *
 *   struct atomic_file file;
 *   if (atomic_file_open(path, &file, error) == VQCT_OK &&
 *       atomic_file_write(&file, data, size, error) == VQCT_OK)
 *     atomic_file_commit(&file, error);
 *   atomic_file_discard(&file);
 *
 * Bytes go to a temporary file in the same directory, which commit flushes to the disk and renames
 * over the path; the directory is flushed too. Whoever has the old file open keeps reading it.
 */
#ifndef IO_ATOMIC_FILE_H
#define IO_ATOMIC_FILE_H

#include <stddef.h>

#include "vqct/status.h"

struct atomic_file {
  int descriptor;         /* -1 when closed */
  char *path, *temporary; /* owned */
};

/** A record without a file, which atomic_file_discard takes. */
#define ATOMIC_FILE_CLOSED                                                                         \
  { -1, NULL, NULL }

/** Creates the temporary file. A path that names something other than a regular file is refused.
 * Errors: WRITE, MEMORY; the record is then closed. */
enum vqct_status atomic_file_open(const char *path, struct atomic_file *file,
                                  struct vqct_error *error);

/** Appends bytes. Errors: WRITE. */
enum vqct_status atomic_file_write(struct atomic_file *file, const void *data, size_t size,
                                   struct vqct_error *error);

/** Makes the file appear under its path, and closes the record. On an error (WRITE) the path is as
 * it was, unless only the last step, flushing the directory, failed. */
enum vqct_status atomic_file_commit(struct atomic_file *file, struct vqct_error *error);

/** Removes the temporary file and closes the record; does nothing once it is closed. */
void atomic_file_discard(struct atomic_file *file);

/** Removes the temporary files that processes which were killed while they wrote this path have
 * left behind. Nobody may be writing it. What cannot be removed stays. */
void atomic_file_sweep(const char *path);

/** Writes one whole file. Errors: WRITE, MEMORY. */
enum vqct_status atomic_file_save(const char *path, const void *data, size_t size,
                                  struct vqct_error *error);

#endif
