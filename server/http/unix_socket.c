/* A Unix socket's path stays when its server is killed. Whether anyone listens there is asked by
 * connecting; and who asks holds a lock on the folder until it listens itself, or two that start at
 * once could both find the path free, and the second would take it from the first. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"
#include "sockets.h"

#define BACKLOG 1024

static enum vqct_status make_address(const char *path, struct sockaddr_un *address,
                                     struct vqct_error *error) {
  size_t length = strlen(path);
  if (!length || length > UNIX_PATH_MAX)
    return error_set(error, VQCT_INVALID,
                     "unix:%.120s: the path has %zu bytes; 1 to %d are allowed", path, length,
                     UNIX_PATH_MAX);
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  memcpy(address->sun_path, path, length);
  return VQCT_OK;
}

static int lock_folder(const char *path) {
  char folder[UNIX_PATH_MAX + 1];
  strcpy(folder, path);
  char *slash = strrchr(folder, '/');
  if (!slash)
    strcpy(folder, ".");
  else
    slash[slash == folder] = '\0';
  int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file >= 0)
    flock(file, LOCK_EX);
  return file;
}

/* Removes a path where nobody listens any more. */
static enum vqct_status clear_path(const struct sockaddr_un *address, struct vqct_error *error) {
  const char *path = address->sun_path;
  struct stat found;
  if (lstat(path, &found))
    return VQCT_OK;
  if (!S_ISSOCK(found.st_mode))
    return error_set(error, VQCT_INVALID,
                     "cannot listen on unix:%s: there is a file that is no socket", path);
  int file = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (file < 0)
    return error_set(error, VQCT_READ, "cannot listen on unix:%s: %s", path, strerror(errno));
  int fault = connect(file, (const struct sockaddr *)address, sizeof *address) ? errno : 0;
  close(file);
  if (fault != ECONNREFUSED)
    return error_set(error, VQCT_INVALID, "cannot listen on unix:%s: %s", path,
                     fault && fault != EAGAIN ? strerror(fault) : "it is in use");
  if (unlink(path) && errno != ENOENT)
    return error_set(error, VQCT_READ, "cannot replace unix:%s, where nobody listens: %s", path,
                     strerror(errno));
  return VQCT_OK;
}

/* Until it listens nobody can connect, so nobody does before it has its mode. */
static enum vqct_status bind_path(const struct sockaddr_un *address, mode_t mode,
                                  struct listen_socket *bound, struct vqct_error *error) {
  const char *path = address->sun_path;
  struct stat made;
  bound->file = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bound->file >= 0 && !bind(bound->file, (const struct sockaddr *)address, sizeof *address)) {
    strcpy(bound->path, path);
    if (!chmod(path, mode) && !lstat(path, &made) && !listen(bound->file, BACKLOG)) {
      bound->device = made.st_dev;
      bound->inode = made.st_ino;
      return VQCT_OK;
    }
  }
  int fault = errno;
  if (*bound->path)
    unlink(path);
  if (bound->file >= 0)
    close(bound->file);
  return error_set(error, VQCT_READ, "cannot listen on unix:%s: %s", path, strerror(fault));
}

enum vqct_status unix_listen(const char *path, mode_t mode, struct listen_sockets *sockets,
                             struct vqct_error *error) {
  struct sockaddr_un address;
  struct listen_socket bound = {.file = -1};
  enum vqct_status status = make_address(path, &address, error);
  if (status != VQCT_OK)
    return status;
  int lock = lock_folder(path);
  if ((status = clear_path(&address, error)) == VQCT_OK)
    status = bind_path(&address, mode, &bound, error);
  if (lock >= 0)
    close(lock);
  return status == VQCT_OK ? sockets_add(sockets, &bound, error) : status;
}

enum vqct_status unix_connect(const char *path, double seconds, int *file,
                              struct vqct_error *error) {
  struct sockaddr_un address;
  enum vqct_status status = make_address(path, &address, error);
  if (status != VQCT_OK)
    return status;
  *file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (*file >= 0) {
    socket_set_patience(*file, seconds);
    if (!connect(*file, (const struct sockaddr *)&address, sizeof address))
      return VQCT_OK;
  }
  int fault = errno;
  if (*file >= 0)
    close(*file);
  *file = -1;
  return error_set(error, VQCT_UNAVAILABLE, "unix:%s: %s", path, strerror(fault));
}
