#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "error.h"
#include "exchange.h"
#include "handler.h"

#define BACKLOG 1024
#define MEMORY_BYTES                                                                               \
  ((size_t)64 << 10)     /* of one connection: uploads like it, small requests bear it */
#define SWEEP_PERIOD 50  /* milliseconds between looks at the deadlines */
#define SURPLUS_MIN  64  /* connections over the limit that are still answered 503 */
#define HURRY_TIME   1.0 /* seconds that a client still has for its answer at the end */

/* ---- connections ----------------------------------------------------------------------------- */

static void on_connection(void *context, struct MHD_Connection *mhd, void **slot,
                          enum MHD_ConnectionNotificationCode code) {
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    connection_close(*slot);
    return;
  }
  int file = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  *slot = connection_open(context, file, info ? info->client_addr : NULL);
}

/* What happens when a connection's time for what it is doing is over. libmicrohttpd notices a
 * socket that was shut down and closes the connection itself. */
static void connection_expire(struct connection *connection) {
  struct exchange *exchange = connection->exchange;
  switch (connection->state) {
  case CONNECTION_WAITING:
    if (!connection->requests)
      connection_refuse(connection);
    shutdown(connection->socket, SHUT_RDWR);
    break;
  case CONNECTION_BODY:
    reply_problem(&exchange->reply, PROBLEM_REQUEST_TIMEOUT,
                  "the body did not arrive within the time allowed");
    exchange_abort(exchange);
    return;
  case CONNECTION_BUSY:
    exchange_end(exchange, EXCHANGE_DEADLINE);
    return;
  case CONNECTION_WRITING:
  case CONNECTION_LINGERING:
    shutdown(connection->socket, SHUT_RDWR);
    break;
  }
  connection->deadline = UINT64_MAX;
}

static void on_sweep(uv_timer_t *timer) {
  struct listener *listener = timer->data;
  uint64_t now = uv_hrtime();
  for (struct connection *connection = listener->connections; connection;
       connection = connection->next)
    if (connection->deadline <= now)
      connection_expire(connection);
  /* Once it holds all that it may, or no descriptor is left, libmicrohttpd accepts again only when
   * it is run, which no event asks for. */
  listener_wake(listener);
}

/* ---- starting -------------------------------------------------------------------------------- */

/* "HOST:PORT" or "[HOST]:PORT" in two. */
static bool split_address(const char *address, char host[256], char port[8]) {
  const char *colon = strrchr(address, ':');
  if (!colon || strlen(colon + 1) >= 8 || !colon[1] ||
      strspn(colon + 1, "0123456789") != strlen(colon + 1))
    return false;
  size_t length = (size_t)(colon - address);
  bool bracketed = length >= 2 && address[0] == '[' && colon[-1] == ']';
  if (bracketed) {
    address++;
    length -= 2;
  }
  if (length == 0 || length >= 256 || (!bracketed && memchr(address, ':', length)))
    return false;
  memcpy(host, address, length);
  host[length] = '\0';
  strcpy(port, colon + 1);
  return strtol(port, NULL, 10) <= 65535;
}

static int bind_socket(const struct addrinfo *found) {
  int file = socket(found->ai_family, SOCK_STREAM, 0);
  if (file < 0)
    return -1;
  int on = 1;
  setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (found->ai_family == AF_INET6)
    setsockopt(file, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (fcntl(file, F_SETFD, FD_CLOEXEC) || fcntl(file, F_SETFL, O_NONBLOCK) ||
      bind(file, found->ai_addr, found->ai_addrlen) || listen(file, BACKLOG)) {
    int fault = errno;
    close(file);
    errno = fault;
    return -1;
  }
  return file;
}

static enum vqct_status open_socket(struct listener *listener, struct vqct_error *error) {
  const char *address = listener->options.address;
  char host[256], port[8];
  if (!split_address(address, host, port))
    return error_set(error, VQCT_INVALID, "address '%.100s': HOST:PORT or [HOST]:PORT is allowed",
                     address);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
  int fault = getaddrinfo(host, port, &hints, &found);
  if (fault)
    return error_set(error, VQCT_INVALID, "address '%.100s': %s", address, gai_strerror(fault));
  listener->socket = bind_socket(found);
  int reason = errno;
  freeaddrinfo(found);
  if (listener->socket < 0)
    return error_set(error, VQCT_UNAVAILABLE, "cannot listen on %.100s: %s", address,
                     strerror(reason));
  struct sockaddr_storage bound;
  socklen_t size = sizeof bound;
  getsockname(listener->socket, (struct sockaddr *)&bound, &size);
  char number[8];
  getnameinfo((struct sockaddr *)&bound, size, NULL, 0, number, sizeof number, NI_NUMERICSERV);
  listener->port = (unsigned)strtoul(number, NULL, 10);
  return VQCT_OK;
}

unsigned listener_most(unsigned connections) {
  return connections + (connections / 4 > SURPLUS_MIN ? connections / 4 : SURPLUS_MIN);
}

static enum vqct_status start_daemon(struct listener *listener, struct vqct_error *error) {
  const struct listener_options *options = &listener->options;
  unsigned flags =
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (options->certificate ? MHD_USE_TLS : 0);
  struct MHD_OptionItem tls[] = {
      {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->certificate},
      {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->certificate_key},
      {MHD_OPTION_END, 0, NULL}};
  listener->daemon = MHD_start_daemon(
      flags, 0, NULL, NULL, handler_access, listener, MHD_OPTION_LISTEN_SOCKET, listener->socket,
      MHD_OPTION_CONNECTION_LIMIT, listener_most(options->limits.connections),
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
      listener, MHD_OPTION_NOTIFY_COMPLETED, handler_completed, listener,
      MHD_OPTION_UNESCAPE_CALLBACK, handler_unescape, NULL, MHD_OPTION_ARRAY,
      options->certificate ? tls : &tls[2], MHD_OPTION_END);
  if (!listener->daemon)
    return error_set(error, VQCT_READ, "cannot serve %.100s: %s", options->address,
                     options->certificate ? "the TLS certificate or key is not usable"
                                          : "libmicrohttpd does not start");
  return VQCT_OK;
}

enum vqct_status listener_start(struct listener *listener, uv_loop_t *loop,
                                const struct listener_options *options, struct vqct_error *error) {
  *listener = (struct listener){.options = *options, .loop = loop};
  enum vqct_status status = open_socket(listener, error);
  if (status != VQCT_OK)
    return status;
  if ((status = start_daemon(listener, error)) != VQCT_OK) {
    close(listener->socket);
    return status;
  }
  listener_drive(listener);
  uv_timer_init(loop, &listener->sweep);
  listener->sweep.data = listener;
  uv_timer_start(&listener->sweep, on_sweep, SWEEP_PERIOD, SWEEP_PERIOD);
  return VQCT_OK;
}

/* ---- stopping -------------------------------------------------------------------------------- */

void listener_close(struct listener *listener) {
  if (listener->closed)
    return;
  listener->closed = listener->draining = true;
  MHD_socket file = MHD_quiesce_daemon(listener->daemon);
  if (file != MHD_INVALID_SOCKET)
    close(file);
}

bool listener_drain(struct listener *listener) {
  for (struct connection *connection = listener->connections; connection;
       connection = connection->next)
    if (connection->state == CONNECTION_WAITING)
      shutdown(connection->socket, SHUT_RDWR);
  listener_wake(listener);
  return listener->connection_count == 0;
}

/* Whoever does not read its answer must not hold the end for the whole write time. */
static void hurry(struct connection *connection) {
  uint64_t last = uv_hrtime() + (uint64_t)(HURRY_TIME * 1e9);
  if (connection->deadline > last)
    connection->deadline = last;
}

void listener_refuse(struct listener *listener) {
  for (struct connection *connection = listener->connections; connection;
       connection = connection->next)
    if (connection->state == CONNECTION_BUSY)
      exchange_end(connection->exchange, EXCHANGE_STOPPED);
    else if (connection->state == CONNECTION_WRITING)
      hurry(connection);
    else
      shutdown(connection->socket, SHUT_RDWR);
  listener_wake(listener);
}

void listener_stop(struct listener *listener) {
  listener_close(listener);
  listener_refuse(listener);
  MHD_run(listener->daemon);
  uv_poll_stop(&listener->poll);
  MHD_stop_daemon(listener->daemon);
  listener_rest(listener);
  uv_close((uv_handle_t *)&listener->sweep, NULL);
}
