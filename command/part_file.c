/* Writes go to places, not to the end: what lies beyond `size` is left from an earlier run or from
 * a write that failed, and does not count. */
#include "part_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "temporary_file.h"

static enum vqct_status failed(const struct part_file *part, struct vqct_error *error) {
  return error_set(error, VQCT_WRITE, "%s: %s", part->path, strerror(errno));
}

enum vqct_status part_file_open(struct part_file *part, char *path, struct vqct_error *error) {
  struct stat facts;
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  size_t room = path ? strlen(path) + sizeof ".part" : 0;
  *part = (struct part_file){.path = path, .descriptor = -1};
  part->temporary = path ? malloc(room) : NULL;
  if (!part->temporary)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  snprintf(part->temporary, room, "%s.part", path);
  if (stat(path, &facts) == 0 && !S_ISREG(facts.st_mode))
    return error_set(error, VQCT_WRITE, "%s: not a regular file", path);
  part->descriptor = open(part->temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (part->descriptor < 0)
    return failed(part, error);
  if (fcntl(part->descriptor, F_SETLK, &lock) != 0)
    return errno == EACCES || errno == EAGAIN
               ? error_set(error, VQCT_WRITE, "%s: another process is writing it", path)
               : failed(part, error);
  if (fstat(part->descriptor, &facts) != 0)
    return failed(part, error);
  part->fresh = facts.st_size == 0;
  return VQCT_OK;
}

enum vqct_status part_file_open_output(struct part_file *part, enum part_kind kind,
                                       struct vqct_error *error) {
  *part = (struct part_file){.kind = kind, .path = strdup("standard output"), .descriptor = -1};
  if (!part->path)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  if (kind == PART_SPOOLED)
    return temporary_file_open("tokens cannot be gathered", &part->descriptor, error);
  part->descriptor = dup(STDOUT_FILENO);
  return part->descriptor < 0 ? failed(part, error) : VQCT_OK;
}

enum vqct_status part_file_found(const struct part_file *part, uint64_t *bytes,
                                 struct vqct_error *error) {
  struct stat facts;
  *bytes = 0;
  if (part->kind != PART_NAMED)
    return VQCT_OK;
  if (fstat(part->descriptor, &facts) != 0)
    return failed(part, error);
  *bytes = (uint64_t)facts.st_size;
  return VQCT_OK;
}

enum vqct_status part_file_cut(struct part_file *part, uint64_t size, struct vqct_error *error) {
  if (part->kind != PART_STREAM && ftruncate(part->descriptor, (off_t)size) != 0)
    return failed(part, error);
  part->size = size;
  return VQCT_OK;
}

enum vqct_status part_file_write_at(struct part_file *part, const void *data, size_t size,
                                    uint64_t offset, struct vqct_error *error) {
  const char *next = data;
  while (size > 0) {
    ssize_t written = pwrite(part->descriptor, next, size, (off_t)offset);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return failed(part, error);
    next += written;
    offset += (uint64_t)written;
    size -= (size_t)written;
  }
  return VQCT_OK;
}

static enum vqct_status write_out(const struct part_file *part, int descriptor, const void *data,
                                  size_t size, struct vqct_error *error) {
  const char *next = data;
  while (size > 0) {
    ssize_t written = write(descriptor, next, size);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return failed(part, error);
    next += written;
    size -= (size_t)written;
  }
  return VQCT_OK;
}

enum vqct_status part_file_append(struct part_file *part, const void *data, size_t size,
                                  struct vqct_error *error) {
  enum vqct_status status = part->kind == PART_STREAM
                                ? write_out(part, part->descriptor, data, size, error)
                                : part_file_write_at(part, data, size, part->size, error);
  if (status != VQCT_OK)
    return status;
  part->size += size;
  return VQCT_OK;
}

/* What was gathered goes to standard output. */
static enum vqct_status send_whole(const struct part_file *part, struct vqct_error *error) {
  char block[65536];
  for (uint64_t at = 0; at < part->size;) {
    uint64_t left = part->size - at;
    size_t wanted = left < sizeof block ? (size_t)left : sizeof block;
    ssize_t got = pread(part->descriptor, block, wanted, (off_t)at);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return failed(part, error);
    enum vqct_status status = write_out(part, STDOUT_FILENO, block, (size_t)got, error);
    if (status != VQCT_OK)
      return status;
    at += (uint64_t)got;
  }
  return VQCT_OK;
}

enum vqct_status part_file_finish(struct part_file *part, struct vqct_error *error) {
  if (part->kind != PART_NAMED)
    return part->kind == PART_SPOOLED ? send_whole(part, error) : VQCT_OK;
  if (fsync(part->descriptor) != 0 || rename(part->temporary, part->path) != 0)
    return failed(part, error);
  close(part->descriptor);
  part->descriptor = -1;
  return VQCT_OK;
}

void part_file_close(struct part_file *part, enum part_end end) {
  if (part->descriptor >= 0) {
    if (part->temporary && (end == PART_REMOVED || (end == PART_AS_FOUND && part->fresh)))
      unlink(part->temporary);
    close(part->descriptor);
  }
  free(part->path);
  free(part->temporary);
  *part = (struct part_file)PART_FILE_CLOSED;
}
