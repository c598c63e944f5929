/* "All addresses" is one socket of IPv6 that takes IPv4 too, or one of IPv4 where there is no IPv6;
 * a name with addresses of both, such as localhost, is a socket of each. */
#include "address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"

#define BACKLOG     1024
#define ADDRESS_MAX 512
#define UNIX_PREFIX "unix:"

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
    return error_set(error, VQCT_INVALID,
                     "address '%.100s': HOST:PORT, [HOST]:PORT or unix:PATH is allowed", text);
  int fault = getaddrinfo(address->all ? NULL : address->host, address->port, &hints, found);
  if (fault)
    return error_set(error, VQCT_INVALID, "address '%.100s': %s", text, gai_strerror(fault));
  return VQCT_OK;
}

/* A socket of IPv6 for all addresses takes callers of IPv4 too. */
static int bind_socket(const struct addrinfo *found, bool all) {
  int file = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (file < 0)
    return -1;
  int on = 1, only = !all;
  setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (found->ai_family == AF_INET6)
    setsockopt(file, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  if (bind(file, found->ai_addr, found->ai_addrlen) || listen(file, BACKLOG)) {
    int fault = errno;
    close(file);
    errno = fault;
    return -1;
  }
  return file;
}

/* A port that the system has picked for one address is that of the others too. */
static void set_port(struct addrinfo *found, unsigned port) {
  void *place = found->ai_addr;
  in_port_t *number = found->ai_family == AF_INET6 ? &((struct sockaddr_in6 *)place)->sin6_port
                                                   : &((struct sockaddr_in *)place)->sin_port;
  if (!*number)
    *number = htons((uint16_t)port);
}

/* Listens at all addresses of a family; returns the errno of one that this machine has and does not
 * give, or 0. */
static int bind_family(struct addrinfo *found, int family, bool all, struct listen_sockets *bound) {
  for (struct addrinfo *one = found; one; one = one->ai_next) {
    if (one->ai_family != family)
      continue;
    set_port(one, bound->port);
    struct listen_socket socket = {.file = bind_socket(one, all)};
    if (socket.file < 0 && errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
      return errno;
    if (socket.file >= 0 && sockets_add(bound, &socket, NULL) != VQCT_OK)
      return ENOBUFS;
  }
  return 0;
}

/* For all addresses IPv6 comes first, as it takes both; without IPv6 there is IPv4. */
static enum vqct_status listen_ip(const char *text, struct listen_sockets *sockets,
                                  struct vqct_error *error) {
  struct address address;
  struct addrinfo *found;
  struct listen_sockets bound = {.port = sockets->port};
  enum vqct_status status = resolve(text, AI_PASSIVE, &address, &found, error);
  if (status != VQCT_OK)
    return status;
  int fault = bind_family(found, AF_INET6, address.all, &bound);
  if (!fault && !(address.all && bound.count))
    fault = bind_family(found, AF_INET, address.all, &bound);
  freeaddrinfo(found);
  if (!fault && !bound.count)
    fault = EADDRNOTAVAIL;
  if (fault) {
    sockets_close(&bound);
    return error_set(error,
                     fault == EADDRINUSE || fault == EADDRNOTAVAIL ? VQCT_INVALID : VQCT_READ,
                     "cannot listen on %.100s: %s", text, strerror(fault));
  }
  for (size_t i = 0; i < bound.count; i++) {
    enum vqct_status added = sockets_add(sockets, &bound.items[i], error);
    status = status == VQCT_OK ? added : status;
  }
  return status;
}

/* Copies the next of a list; returns where it ends, or NULL where that does not fit. */
static const char *next_address(const char *list, char text[ADDRESS_MAX]) {
  size_t length = strcspn(list, ",");
  if (length >= ADDRESS_MAX)
    return NULL;
  memcpy(text, list, length);
  text[length] = '\0';
  return list + length;
}

static bool is_unix(const char *text) {
  return !strncmp(text, UNIX_PREFIX, sizeof UNIX_PREFIX - 1);
}

enum vqct_status address_listen(const char *list, unsigned mode, struct listen_sockets *sockets,
                                struct vqct_error *error) {
  char text[ADDRESS_MAX];
  enum vqct_status status = VQCT_OK;
  for (const char *at = list; status == VQCT_OK; at++) {
    if (!(at = next_address(at, text)))
      return error_set(error, VQCT_INVALID, "address '%.100s' is too long", list);
    status = is_unix(text) ? unix_listen(text + sizeof UNIX_PREFIX - 1, mode, sockets, error)
                           : listen_ip(text, sockets, error);
    if (!*at)
      break;
  }
  return status;
}

static int connect_socket(const struct addrinfo *found, double seconds) {
  int file = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (file < 0)
    return -1;
  socket_set_patience(file, seconds);
  if (!connect(file, found->ai_addr, found->ai_addrlen))
    return file;
  int fault = errno;
  close(file);
  errno = fault;
  return -1;
}

enum vqct_status address_connect(const char *list, double seconds, int *file,
                                 struct vqct_error *error) {
  struct address address;
  struct addrinfo *found;
  char text[ADDRESS_MAX];
  *file = -1;
  if (!next_address(list, text))
    return error_set(error, VQCT_INVALID, "address '%.100s' is too long", list);
  if (is_unix(text))
    return unix_connect(text + sizeof UNIX_PREFIX - 1, seconds, file, error);
  enum vqct_status status = resolve(text, 0, &address, &found, error);
  if (status != VQCT_OK)
    return status;
  for (const struct addrinfo *one = found; one && *file < 0; one = one->ai_next)
    *file = connect_socket(one, seconds);
  int reason = errno;
  freeaddrinfo(found);
  return *file < 0 ? error_set(error, VQCT_UNAVAILABLE, "%s: %s", text, strerror(reason)) : VQCT_OK;
}
