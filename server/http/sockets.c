#include "sockets.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"

#define HOST_MAX 64 /* bytes of an address of IPv6 and the interface that it is of */

/* The address and port of a socket of the internet family; false where it is none. */
static bool read_name(int file, char host[HOST_MAX], char port[8]) {
  struct sockaddr_storage bound;
  socklen_t size = sizeof bound;
  return !getsockname(file, (struct sockaddr *)&bound, &size) &&
         (bound.ss_family == AF_INET || bound.ss_family == AF_INET6) &&
         !getnameinfo((struct sockaddr *)&bound, size, host, HOST_MAX, port, 8,
                      NI_NUMERICHOST | NI_NUMERICSERV);
}

static unsigned port_of(int file) {
  char host[HOST_MAX], port[8];
  return read_name(file, host, port) ? (unsigned)strtoul(port, NULL, 10) : 0;
}

/* The path of a Unix socket need not end in a zero byte; one that begins with it is in no file
 * system, which is written with '@'. */
static void describe_path(int file, struct text *text) {
  struct sockaddr_un bound = {0};
  socklen_t size = sizeof bound;
  const char *path = bound.sun_path;
  if (getsockname(file, (struct sockaddr *)&bound, &size))
    return;
  size_t length =
      size < sizeof bound ? size - offsetof(struct sockaddr_un, sun_path) : sizeof bound.sun_path;
  bool abstract = length && !*path;
  text_print(text, "unix:%s%.*s", abstract ? "@" : "", (int)length - abstract, path + abstract);
}

void sockets_describe(const struct listen_sockets *sockets, struct text *text) {
  char host[HOST_MAX], port[8];
  for (size_t i = 0; i < sockets->count; i++) {
    int file = sockets->items[i].file;
    text_add(text, ",", i > 0);
    if (!read_name(file, host, port))
      describe_path(file, text);
    else
      text_print(text, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
  }
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
