#define _DEFAULT_SOURCE /* pread */

#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

enum vqct_status whole_file_size(int descriptor, const char *name, size_t *size,
                                 struct vqct_error *error) {
  struct stat facts;
  *size = 0;
  if (fstat(descriptor, &facts) != 0)
    return error_set(error, VQCT_READ, "%s: %s", name, strerror(errno));
  if (!S_ISREG(facts.st_mode))
    return error_set(error, VQCT_READ, "%s: not a regular file", name);
  *size = (size_t)facts.st_size;
  return VQCT_OK;
}

int whole_file_open(const char *path, size_t *size, struct vqct_error *error) {
  /* Not blocking, or opening a named pipe would wait for a writer. */
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
    return -1;
  }
  if (whole_file_size(descriptor, path, size, error) == VQCT_OK)
    return descriptor;
  close(descriptor);
  return -1;
}

enum vqct_status whole_file_fill(int descriptor, const char *name, void *data, size_t size,
                                 struct vqct_error *error) {
  for (size_t done = 0; done < size;) {
    ssize_t got = pread(descriptor, (char *)data + done, size - done, (off_t)done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return error_set(error, VQCT_READ, "%s: %s", name, strerror(errno));
    if (!got)
      return error_set(error, VQCT_READ, "%s: it was shortened while it was read", name);
    done += (size_t)got;
  }
  return VQCT_OK;
}

static enum vqct_status read_open(int descriptor, const char *path, uint64_t limit,
                                  struct whole_file *file, struct vqct_error *error) {
  if (file->size > limit)
    return error_set(error, VQCT_LIMIT, "%s: %zu bytes are over the limit of %" PRIu64, path,
                     file->size, limit);
  if (!file->size)
    return VQCT_OK;
  file->data = malloc(file->size);
  if (!file->data)
    return error_set(error, VQCT_MEMORY, "%s: no memory for its %zu bytes", path, file->size);
  return whole_file_fill(descriptor, path, file->data, file->size, error);
}

enum vqct_status whole_file_read(const char *path, uint64_t limit, struct whole_file *file,
                                 struct vqct_error *error) {
  *file = (struct whole_file){0};
  int descriptor = whole_file_open(path, &file->size, error);
  if (descriptor < 0)
    return VQCT_READ;
  enum vqct_status status = read_open(descriptor, path, limit, file, error);
  close(descriptor);
  if (status != VQCT_OK) {
    free(file->data);
    *file = (struct whole_file){0};
  }
  return status;
}
