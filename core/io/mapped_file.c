/* Both ways to a file's bytes end in a mapping, one of the file and one of memory that holds a
 * copy, so that whoever reads and closes need not know which it has. */
#define _DEFAULT_SOURCE /* MAP_POPULATE; madvise: glibc's posix_madvise ignores this advice */

#include "mapped_file.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "whole_file.h"

static enum vqct_status map_bytes(int descriptor, const char *name, size_t size,
                                  struct mapped_file *file, struct vqct_error *error) {
  if (!size)
    return VQCT_OK;
  void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED)
    return error_set(error, VQCT_READ, "%s: %s", name, strerror(errno));
  *file = (struct mapped_file){data, size};
  return VQCT_OK;
}

static enum vqct_status copy_bytes(int descriptor, const char *name, size_t size,
                                   struct mapped_file *file, struct vqct_error *error) {
  if (!size)
    return VQCT_OK;
  /* All of it is written at once, so its pages come in one call and not by a fault each. */
  void *data =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (data == MAP_FAILED)
    return error_set(error, VQCT_MEMORY, "%s: no memory for its %zu bytes", name, size);
  *file = (struct mapped_file){data, size};
  enum vqct_status status = whole_file_fill(descriptor, name, data, size, error);
  if (status != VQCT_OK)
    mapped_file_close(file);
  return status;
}

/* Takes an open file's bytes into a record that is empty. */
typedef enum vqct_status take_bytes(int descriptor, const char *name, size_t size,
                                    struct mapped_file *file, struct vqct_error *error);

static enum vqct_status open_path(const char *path, take_bytes *take, struct mapped_file *file,
                                  struct vqct_error *error) {
  size_t size = 0;
  *file = (struct mapped_file){0};
  int descriptor = whole_file_open(path, &size, error);
  if (descriptor < 0)
    return VQCT_READ;
  enum vqct_status status = take(descriptor, path, size, file, error);
  close(descriptor);
  return status;
}

enum vqct_status mapped_file_of(int descriptor, const char *name, struct mapped_file *file,
                                struct vqct_error *error) {
  size_t size = 0;
  *file = (struct mapped_file){0};
  enum vqct_status status = whole_file_size(descriptor, name, &size, error);
  return status == VQCT_OK ? map_bytes(descriptor, name, size, file, error) : status;
}

enum vqct_status mapped_file_open(const char *path, struct mapped_file *file,
                                  struct vqct_error *error) {
  return open_path(path, map_bytes, file, error);
}

enum vqct_status mapped_file_copy(const char *path, struct mapped_file *file,
                                  struct vqct_error *error) {
  return open_path(path, copy_bytes, file, error);
}

void mapped_file_discard(const struct mapped_file *file, const void *data, size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t first = (size_t)((const unsigned char *)data - file->data);
  size_t begin = (first + page - 1) / page * page, end = first + size;
  if (end < file->size)
    end = end / page * page;
  if (begin < end)
    madvise((void *)(uintptr_t)(file->data + begin), end - begin, MADV_DONTNEED);
}

void mapped_file_close(struct mapped_file *file) {
  if (file->data)
    munmap((void *)(uintptr_t)file->data, file->size);
  *file = (struct mapped_file){0};
}
