/* What sd_listen_fds_with_names(3) does, without its library: LISTEN_FDS descriptors from 3 on are
 * for the process LISTEN_PID, with names in LISTEN_FDNAMES between colons. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "sockets.h"

#define FIRST_FILE 3

static bool read_count(const char *text, long max, long *count) {
  if (!text || !*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 9)
    return false;
  *count = strtol(text, NULL, 10);
  return *count <= max;
}

static enum vqct_status check(int file, const char *name, struct vqct_error *error) {
  int type = 0, listens = 0;
  socklen_t size = sizeof type;
  if (getsockopt(file, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_STREAM ||
      getsockopt(file, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) || !listens)
    return error_set(error, VQCT_INVALID,
                     "descriptor %d, which was passed as '%.60s', is no stream socket that listens",
                     file, name);
  fcntl(file, F_SETFD, FD_CLOEXEC);
  fcntl(file, F_SETFL, O_NONBLOCK);
  return VQCT_OK;
}

static enum vqct_status take(int file, const char *name, const char *const *names,
                             struct listen_sockets *const *sockets, size_t count,
                             struct vqct_error *error) {
  char allowed[128] = "";
  for (size_t i = 0; i < count; i++) {
    if (!strcmp(names[i], name)) {
      enum vqct_status status = check(file, name, error);
      return status == VQCT_OK
                 ? sockets_add(sockets[i], &(struct listen_socket){.file = file}, error)
                 : status;
    }
    strncat(allowed, i ? " or " : "", sizeof allowed - strlen(allowed) - 1);
    strncat(allowed, names[i], sizeof allowed - strlen(allowed) - 1);
  }
  return error_set(error, VQCT_INVALID,
                   "a socket was passed as '%.60s': FileDescriptorName=%s is allowed", name,
                   allowed);
}

enum vqct_status sockets_take_passed(const char *const *names,
                                     struct listen_sockets *const *sockets, size_t count,
                                     struct vqct_error *error) {
  long process, files;
  bool ours = read_count(getenv("LISTEN_PID"), 999999999, &process) && process == (long)getpid();
  if (!ours || !getenv("LISTEN_FDS"))
    return VQCT_OK;
  if (!read_count(getenv("LISTEN_FDS"), LISTEN_SOCKETS_MAX * (long)count, &files))
    return error_set(error, VQCT_INVALID, "LISTEN_FDS is '%.20s': up to %zu sockets are taken",
                     getenv("LISTEN_FDS"), LISTEN_SOCKETS_MAX * count);
  const char *given = getenv("LISTEN_FDNAMES"), *at = given ? given : "";
  enum vqct_status status = VQCT_OK;
  for (long i = 0; i < files && status == VQCT_OK; i++) {
    char name[256] = "";
    size_t length = strcspn(at, ":");
    if (length < sizeof name)
      memcpy(name, at, length);
    at += length + (at[length] == ':');
    status = take(FIRST_FILE + (int)i, name, names, sockets, count, error);
  }
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  return status;
}
