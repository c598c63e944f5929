/* A connection's deadline is that of what it is doing now: one timer for all stands on the
 * earliest, since a timer for each would be set and stopped with every piece that arrives. The end
 * has four steps, each for who has outstayed the one before: close (to new connections), drain,
 * refuse, stop. */
#include "listener.h"

#include <sys/socket.h>

#include <microhttpd.h>

#include "accepting.h"
#include "address.h"
#include "error.h"
#include "exchange.h"
#include "handler.h"

#define KEPT_TIME  ((uint64_t)250000000) /* nanoseconds that a kept connection has at the end */
#define HURRY_TIME 1.0 /* seconds that a client still has for its answer at the end */

/* ---- connections ----------------------------------------------------------------------------- */

static void show_certificate(struct connection *connection, struct MHD_Connection *mhd) {
  struct certificate *const *now = connection->listener->options.certificate;
  if (!now)
    return;
  connection->certificate = certificate_retain(*now);
  certificate_show(*now,
                   MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session);
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **slot,
                          enum MHD_ConnectionNotificationCode code) {
  struct listener *listener = context;
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    connection_close(*slot);
    accepting_resume(listener);
    return;
  }
  int file = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  *slot = connection_open(listener, file, info ? info->client_addr : NULL);
  if (*slot)
    show_certificate(*slot, mhd);
}

/* What happens when a connection's time for what it is doing is over. libmicrohttpd notices a
 * socket that was shut down and closes the connection itself. */
static void connection_expire(struct connection *connection) {
  struct exchange *exchange = connection->exchange;
  switch (connection->state) {
  case CONNECTION_WAITING:
    if (!connection->requests && !connection->listener->closed)
      connection_refuse(connection, PROBLEM_REQUEST_TIMEOUT,
                        "the headers did not arrive within the time allowed");
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
  uint64_t now = listener->swept_at = uv_hrtime(), next = UINT64_MAX;
  listener->sweep_at = UINT64_MAX;
  for (struct connection *connection = listener->connections; connection;
       connection = connection->next) {
    if (connection->deadline <= now)
      connection_expire(connection);
    if (connection->exchange && exchange_probe(connection->exchange, now))
      next = now;
    if (connection->deadline < next)
      next = connection->deadline;
  }
  listener_sweep_by(listener, next);
}

/* ---- starting -------------------------------------------------------------------------------- */

static enum vqct_status start_daemon(struct listener *listener, struct vqct_error *error) {
  const struct listener_options *options = &listener->options;
  const struct certificate *first = options->certificate ? *options->certificate : NULL;
  unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                   (options->certificate ? MHD_USE_TLS : 0);
  struct MHD_OptionItem tls[] = {
      {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)(first ? certificate_chain(first) : NULL)},
      {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)(first ? certificate_key(first) : NULL)},
      {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)options->tls_priority},
      {MHD_OPTION_END, 0, NULL}};
  listener->daemon = MHD_start_daemon(
      flags, 0, NULL, NULL, handler_access, listener, MHD_OPTION_CONNECTION_LIMIT,
      listener_most(options->limits.connections), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      (size_t)LISTENER_MEMORY_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener,
      MHD_OPTION_NOTIFY_COMPLETED, handler_completed, listener, MHD_OPTION_UNESCAPE_CALLBACK,
      handler_unescape, NULL, MHD_OPTION_ARRAY, options->certificate ? tls : &tls[3],
      MHD_OPTION_END);
  if (!listener->daemon)
    return error_set(error, VQCT_READ, "cannot serve %.100s: %s", options->address,
                     options->certificate ? "the TLS priority is not usable"
                                          : "libmicrohttpd does not start");
  return VQCT_OK;
}

enum vqct_status listener_start(struct listener *listener, uv_loop_t *loop,
                                const struct listener_options *options, struct vqct_error *error) {
  *listener = (struct listener){
      .options = *options, .loop = loop, .on_sweep = on_sweep, .sweep_at = UINT64_MAX};
  enum vqct_status status = VQCT_OK;
  if (options->sockets && options->sockets->count) {
    listener->sockets = *options->sockets;
    options->sockets->count = 0;
  } else {
    status = address_listen(options->address, options->mode, &listener->sockets, error);
  }
  if (status != VQCT_OK || (status = start_daemon(listener, error)) != VQCT_OK) {
    sockets_close(&listener->sockets);
    return status;
  }
  listener->port = listener->sockets.port;
  listener_drive(listener);
  accepting_start(listener);
  return VQCT_OK;
}

/* ---- stopping -------------------------------------------------------------------------------- */

/* Whoever does not send its request or read its answer must not hold the end for all the time that
 * it has else. */
static void hurry(struct connection *connection) {
  uint64_t last = uv_hrtime() + (uint64_t)(HURRY_TIME * 1e9);
  if (connection->deadline > last)
    connection_due(connection, last);
}

void listener_leave(struct listener *listener) {
  listener->draining = true;
}

void listener_close(struct listener *listener) {
  if (listener->closed)
    return;
  listener->closed = listener->draining = true;
  accepting_end(listener);
  for (struct connection *connection = listener->connections; connection;
       connection = connection->next)
    if (!connection->requests)
      hurry(connection);
}

/* A client that just connected is about to send its first request, and a busy pool is likely to use
 * at once again what it has just used, maybe while it is being shut. */
bool listener_drain(struct listener *listener) {
  uint64_t now = uv_hrtime();
  for (struct connection *connection = listener->connections; connection;
       connection = connection->next)
    if (connection->requests && now - connection->since >= KEPT_TIME &&
        connection_is_idle(connection))
      shutdown(connection->socket, SHUT_RDWR);
  listener_wake(listener);
  return listener->connection_count == 0;
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
}
