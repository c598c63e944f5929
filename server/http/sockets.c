#include "sockets.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "error.h"

static unsigned port_of(int file) {
  struct sockaddr_storage bound;
  socklen_t size = sizeof bound;
  char number[8];
  if (getsockname(file, (struct sockaddr *)&bound, &size) ||
      (bound.ss_family != AF_INET && bound.ss_family != AF_INET6) ||
      getnameinfo((struct sockaddr *)&bound, size, NULL, 0, number, sizeof number, NI_NUMERICSERV))
    return 0;
  return (unsigned)strtoul(number, NULL, 10);
}

enum vqct_status sockets_add(struct listen_sockets *sockets, const struct listen_socket *socket,
                             struct vqct_error *error) {
  if (sockets->count == LISTEN_SOCKETS_MAX) {
    close(socket->file);
    return error_set(error, VQCT_INVALID, "%d sockets a port are allowed", LISTEN_SOCKETS_MAX);
  }
  sockets->items[sockets->count++] = *socket;
  if (!sockets->port)
    sockets->port = port_of(socket->file);
  return VQCT_OK;
}

/* Another server may have replaced it. */
static void remove_path(const struct listen_socket *socket) {
  struct stat now;
  if (*socket->path && !lstat(socket->path, &now) && now.st_dev == socket->device &&
      now.st_ino == socket->inode)
    unlink(socket->path);
}

void sockets_close(struct listen_sockets *sockets) {
  for (size_t i = 0; i < sockets->count; i++) {
    remove_path(&sockets->items[i]);
    close(sockets->items[i].file);
  }
  sockets->count = 0;
}

void socket_set_patience(int file, double seconds) {
  struct timeval wait = {(time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
  setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
}
