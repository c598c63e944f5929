/* The temporary file lies in the folder of the path, since rename works only within one file
 * system, and its name bears the process, so that writers of one path never share it. A flush
 * before the rename keeps a crash from leaving an empty file under the name; one of the folder
 * after it makes the rename last. */
#include "atomic_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "error.h"

#define WRITE_MAX ((size_t)1 << 30) /* bytes a call; Linux writes at most 2 GiB at once */

static enum vqct_status failed(const struct atomic_file *file, struct vqct_error *error) {
  return error_set(error, VQCT_WRITE, "%s: %s", file->path, strerror(errno));
}

/* Frees the names of a record that has no temporary file. */
static void forget(struct atomic_file *file) {
  free(file->path);
  free(file->temporary);
  *file = (struct atomic_file){.descriptor = -1};
}

/* "DIR/.BASE.PID.NUMBER.tmp"; the number comes from the clock and the attempt. */
static char *temporary_name(const char *path, unsigned attempt) {
  const char *slash = strrchr(path, '/');
  const char *base = slash ? slash + 1 : path;
  size_t room = strlen(path) + 64;
  char *name = malloc(room);
  if (!name)
    return NULL;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  snprintf(name, room, "%.*s.%.200s.%ld.%lx.tmp", (int)(base - path), path, base, (long)getpid(),
           (unsigned long)now.tv_nsec + attempt);
  return name;
}

enum vqct_status atomic_file_open(const char *path, struct atomic_file *file,
                                  struct vqct_error *error) {
  struct stat facts;
  *file = (struct atomic_file){.descriptor = -1, .path = strdup(path)};
  if (!file->path)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", path);
  if (stat(path, &facts) == 0 && !S_ISREG(facts.st_mode)) {
    forget(file);
    return error_set(error, VQCT_WRITE, "%s: not a regular file", path);
  }
  for (unsigned attempt = 0; attempt < 100; attempt++) {
    free(file->temporary);
    file->temporary = temporary_name(path, attempt);
    if (!file->temporary) {
      forget(file);
      return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", path);
    }
    file->descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->descriptor >= 0)
      return VQCT_OK;
    if (errno != EEXIST)
      break;
  }
  enum vqct_status status = failed(file, error);
  forget(file);
  return status;
}

enum vqct_status atomic_file_write(struct atomic_file *file, const void *data, size_t size,
                                   struct vqct_error *error) {
  const char *next = data;
  while (size > 0) {
    ssize_t written = write(file->descriptor, next, size < WRITE_MAX ? size : WRITE_MAX);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return failed(file, error);
    next += written;
    size -= (size_t)written;
  }
  return VQCT_OK;
}

/* Whether a name is one that temporary_name gives for `base`. */
static bool is_temporary(const char *name, const char *base) {
  size_t length = strlen(base) < 200 ? strlen(base) : 200;
  if (name[0] != '.' || strncmp(name + 1, base, length) != 0 || name[1 + length] != '.')
    return false;
  const char *process = name + length + 2, *number = process + strspn(process, "0123456789");
  if (number == process || *number != '.')
    return false;
  size_t digits = strspn(++number, "0123456789abcdef");
  return digits > 0 && strcmp(number + digits, ".tmp") == 0;
}

void atomic_file_sweep(const char *path) {
  const char *slash = strrchr(path, '/');
  size_t folder = slash ? (size_t)(slash - path) + 1 : 0;
  char *found = malloc(folder + 3); /* "DIR/." */
  if (!found)
    return;
  snprintf(found, folder + 3, "%.*s.", (int)folder, path);
  DIR *directory = opendir(found);
  free(found);
  struct dirent *entry;
  while (directory && (entry = readdir(directory)))
    if (is_temporary(entry->d_name, path + folder))
      unlinkat(dirfd(directory), entry->d_name, 0);
  if (directory)
    closedir(directory);
}

/* Flushes the directory's entry. File systems that cannot do so (EINVAL) keep it in their own way.
 */
static enum vqct_status flush_directory(const struct atomic_file *file, struct vqct_error *error) {
  char *slash = strrchr(file->temporary, '/');
  if (slash)
    slash[slash == file->temporary] = '\0';
  int directory = open(slash ? file->temporary : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0)
    return failed(file, error);
  enum vqct_status status =
      fsync(directory) == 0 || errno == EINVAL ? VQCT_OK : failed(file, error);
  close(directory);
  return status;
}

enum vqct_status atomic_file_commit(struct atomic_file *file, struct vqct_error *error) {
  enum vqct_status status = fsync(file->descriptor) == 0 ? VQCT_OK : failed(file, error);
  int closed = close(file->descriptor);
  file->descriptor = -1;
  if (!status && closed != 0)
    status = failed(file, error);
  if (!status && rename(file->temporary, file->path) != 0)
    status = failed(file, error);
  if (status) {
    atomic_file_discard(file);
    return status;
  }
  status = flush_directory(file, error);
  forget(file);
  return status;
}

void atomic_file_discard(struct atomic_file *file) {
  if (file->descriptor >= 0)
    close(file->descriptor);
  if (file->temporary)
    unlink(file->temporary);
  forget(file);
}

enum vqct_status atomic_file_save(const char *path, const void *data, size_t size,
                                  struct vqct_error *error) {
  struct atomic_file file;
  enum vqct_status status = atomic_file_open(path, &file, error);
  if (status != VQCT_OK)
    return status;
  status = atomic_file_write(&file, data, size, error);
  if (status == VQCT_OK)
    return atomic_file_commit(&file, error);
  atomic_file_discard(&file);
  return status;
}
