/* "All addresses" is one socket of IPv6 that takes IPv4 too, or one of IPv4 where there is no IPv6:
 * two sockets would need two listeners. */
#include "address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "error.h"

#define BACKLOG 1024

struct address {
  char host[256], port[8];
  bool all; /* of this machine: "*" or "::" */
};

static bool split(const char *text, struct address *address) {
  const char *colon = strrchr(text, ':');
  if (!colon || strlen(colon + 1) >= 8 || !colon[1] ||
      strspn(colon + 1, "0123456789") != strlen(colon + 1))
    return false;
  size_t length = (size_t)(colon - text);
  bool bracketed = length >= 2 && text[0] == '[' && colon[-1] == ']';
  if (bracketed) {
    text++;
    length -= 2;
  }
  if (length == 0 || length >= sizeof address->host || (!bracketed && memchr(text, ':', length)))
    return false;
  memcpy(address->host, text, length);
  address->host[length] = '\0';
  strcpy(address->port, colon + 1);
  address->all = !strcmp(address->host, "*") || !strcmp(address->host, "::");
  return strtol(address->port, NULL, 10) <= 65535;
}

static enum vqct_status resolve(const char *text, int flags, struct address *address,
                                struct addrinfo **found, struct vqct_error *error) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
  if (!split(text, address))
    return error_set(error, VQCT_INVALID, "address '%.100s': HOST:PORT or [HOST]:PORT is allowed",
                     text);
  int fault = getaddrinfo(address->all ? NULL : address->host, address->port, &hints, found);
  if (fault)
    return error_set(error, VQCT_INVALID, "address '%.100s': %s", text, gai_strerror(fault));
  return VQCT_OK;
}

/* A socket of IPv6 for all addresses takes callers of IPv4 too. */
static int bind_socket(const struct addrinfo *found, bool all) {
  int file = socket(found->ai_family, SOCK_STREAM, 0);
  if (file < 0)
    return -1;
  int on = 1, only = !all;
  setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (found->ai_family == AF_INET6)
    setsockopt(file, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  if (fcntl(file, F_SETFD, FD_CLOEXEC) || fcntl(file, F_SETFL, O_NONBLOCK) ||
      bind(file, found->ai_addr, found->ai_addrlen) || listen(file, BACKLOG)) {
    int fault = errno;
    close(file);
    errno = fault;
    return -1;
  }
  return file;
}

enum vqct_status address_listen(const char *text, int *file, unsigned *port,
                                struct vqct_error *error) {
  struct address address;
  struct addrinfo *found;
  enum vqct_status status = resolve(text, AI_PASSIVE, &address, &found, error);
  if (status != VQCT_OK)
    return status;
  *file = -1;
  /* For all addresses IPv6 comes first, as it takes both; without IPv6 there is IPv4. */
  for (int family = address.all ? AF_INET6 : AF_UNSPEC; *file < 0; family = AF_UNSPEC) {
    const struct addrinfo *one = found;
    while (one && family != AF_UNSPEC && one->ai_family != family)
      one = one->ai_next;
    if (one)
      *file = bind_socket(one, address.all);
    if (family == AF_UNSPEC ||
        (*file < 0 && one && errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
      break;
  }
  int reason = errno;
  freeaddrinfo(found);
  if (*file < 0)
    return error_set(error,
                     reason == EADDRINUSE || reason == EADDRNOTAVAIL ? VQCT_INVALID : VQCT_READ,
                     "cannot listen on %.100s: %s", text, strerror(reason));
  struct sockaddr_storage bound;
  socklen_t size = sizeof bound;
  getsockname(*file, (struct sockaddr *)&bound, &size);
  char number[8];
  getnameinfo((struct sockaddr *)&bound, size, NULL, 0, number, sizeof number, NI_NUMERICSERV);
  *port = (unsigned)strtoul(number, NULL, 10);
  return VQCT_OK;
}

static int connect_socket(const struct addrinfo *found, double seconds) {
  int file = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (file < 0)
    return -1;
  struct timeval wait = {(time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
  setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  if (!connect(file, found->ai_addr, found->ai_addrlen))
    return file;
  int fault = errno;
  close(file);
  errno = fault;
  return -1;
}

enum vqct_status address_connect(const char *text, double seconds, int *file,
                                 struct vqct_error *error) {
  struct address address;
  struct addrinfo *found;
  enum vqct_status status = resolve(text, 0, &address, &found, error);
  if (status != VQCT_OK)
    return status;
  *file = -1;
  for (const struct addrinfo *one = found; one && *file < 0; one = one->ai_next)
    *file = connect_socket(one, seconds);
  int reason = errno;
  freeaddrinfo(found);
  return *file < 0 ? error_set(error, VQCT_UNAVAILABLE, "%s: %s", text, strerror(reason)) : VQCT_OK;
}
