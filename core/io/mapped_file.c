#define _DEFAULT_SOURCE /* madvise: glibc's posix_madvise ignores this advice */

#include "mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

enum vqct_status mapped_file_of(int descriptor, const char *name, struct mapped_file *file,
                                struct vqct_error *error) {
  struct stat facts;
  *file = (struct mapped_file){0};
  if (fstat(descriptor, &facts) != 0)
    return error_set(error, VQCT_READ, "%s: %s", name, strerror(errno));
  if (!S_ISREG(facts.st_mode))
    return error_set(error, VQCT_READ, "%s: not a regular file", name);
  if (facts.st_size == 0)
    return VQCT_OK;
  void *data = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED)
    return error_set(error, VQCT_READ, "%s: %s", name, strerror(errno));
  file->data = data;
  file->size = (size_t)facts.st_size;
  return VQCT_OK;
}

enum vqct_status mapped_file_open(const char *path, struct mapped_file *file,
                                  struct vqct_error *error) {
  *file = (struct mapped_file){0};
  /* Not blocking, or opening a named pipe would wait for a writer. */
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  enum vqct_status status = mapped_file_of(descriptor, path, file, error);
  close(descriptor);
  return status;
}

static enum vqct_status read_copy(int descriptor, const char *path, struct mapped_file *file,
                                  struct vqct_error *error) {
  struct stat facts;
  if (fstat(descriptor, &facts) != 0)
    return error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  if (!S_ISREG(facts.st_mode))
    return error_set(error, VQCT_READ, "%s: not a regular file", path);
  size_t size = (size_t)facts.st_size;
  if (!size)
    return VQCT_OK;
  void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED)
    return error_set(error, VQCT_MEMORY, "%s: no memory for its %zu bytes", path, size);
  *file = (struct mapped_file){data, size, true};
  for (size_t done = 0; done < size;) {
    ssize_t got = pread(descriptor, (char *)data + done, size - done, (off_t)done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      int fault = errno;
      mapped_file_close(file);
      return error_set(error, VQCT_READ, "%s: %s", path,
                       got ? strerror(fault) : "it was shortened while it was read");
    }
    done += (size_t)got;
  }
  return VQCT_OK;
}

enum vqct_status mapped_file_copy(const char *path, struct mapped_file *file,
                                  struct vqct_error *error) {
  *file = (struct mapped_file){0};
  int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    return error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  enum vqct_status status = read_copy(descriptor, path, file, error);
  close(descriptor);
  return status;
}

void mapped_file_drop(const struct mapped_file *file, const void *data, size_t size) {
  if (file->copied)
    return;
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
