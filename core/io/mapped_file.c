/* Both ways to a file's bytes end in a mapping, one of the file and one of memory that holds a
 * copy, so that whoever reads and closes need not know which it has. */
#define _DEFAULT_SOURCE /* MAP_POPULATE; madvise: glibc's posix_madvise ignores this advice */

#include "mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

/* The size of a regular file. */
static enum vqct_status find_size(int descriptor, const char *name, size_t *size,
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

/* Takes an open file's bytes into a record that is empty. */
typedef enum vqct_status take_bytes(int descriptor, const char *name, struct mapped_file *file,
                                    struct vqct_error *error);

static enum vqct_status map_bytes(int descriptor, const char *name, struct mapped_file *file,
                                  struct vqct_error *error) {
  size_t size = 0;
  enum vqct_status status = find_size(descriptor, name, &size, error);
  if (status != VQCT_OK || !size)
    return status;
  void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED)
    return error_set(error, VQCT_READ, "%s: %s", name, strerror(errno));
  *file = (struct mapped_file){data, size};
  return VQCT_OK;
}

static enum vqct_status copy_bytes(int descriptor, const char *name, struct mapped_file *file,
                                   struct vqct_error *error) {
  size_t size = 0;
  enum vqct_status status = find_size(descriptor, name, &size, error);
  if (status != VQCT_OK || !size)
    return status;
  /* All of it is written at once, so its pages come in one call and not by a fault each. */
  void *data =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (data == MAP_FAILED)
    return error_set(error, VQCT_MEMORY, "%s: no memory for its %zu bytes", name, size);
  *file = (struct mapped_file){data, size};
  for (size_t done = 0; done < size;) {
    ssize_t got = pread(descriptor, (char *)data + done, size - done, (off_t)done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      int fault = errno;
      mapped_file_close(file);
      return error_set(error, VQCT_READ, "%s: %s", name,
                       got ? strerror(fault) : "it was shortened while it was read");
    }
    done += (size_t)got;
  }
  return VQCT_OK;
}

static enum vqct_status open_path(const char *path, take_bytes *take, struct mapped_file *file,
                                  struct vqct_error *error) {
  *file = (struct mapped_file){0};
  /* Not blocking, or opening a named pipe would wait for a writer. */
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  enum vqct_status status = take(descriptor, path, file, error);
  close(descriptor);
  return status;
}

enum vqct_status mapped_file_of(int descriptor, const char *name, struct mapped_file *file,
                                struct vqct_error *error) {
  *file = (struct mapped_file){0};
  return map_bytes(descriptor, name, file, error);
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
