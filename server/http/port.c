/* libmicrohttpd is run from the loop, by its epoll descriptor and by a timer that is set to what it
 * asks for after every run. Connections are a list on which the oldest of a kind gives way where
 * there are too many: unfinished handshakes, idle ones, and surplus ones that get a 503. */
#include "port.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#define RUNS_MAX       8   /* of libmicrohttpd in a row */
#define HANDSHAKES_MAX 64  /* connections with TLS that have not sent a request */
#define REST_MAX       10  /* milliseconds */
#define SURPLUS_MIN    64  /* connections over the limit that are still answered 503 */
#define SURPLUS_TIME   1.0 /* seconds until a surplus connection is closed */
#define SWEEP_PERIOD   ((uint64_t)50000000) /* nanoseconds at least from one look to the next */

/* ---- connections ----------------------------------------------------------------------------- */

unsigned listener_most(unsigned connections) {
  return connections + (connections / 4 > SURPLUS_MIN ? connections / 4 : SURPLUS_MIN);
}

/* The timer stands on the earliest deadline that there was when it was set: what comes later, as
 * most do, leaves it alone, and nothing wakes an idle process. */
void listener_sweep_by(struct listener *listener, uint64_t moment) {
  if (moment < listener->swept_at + SWEEP_PERIOD)
    moment = listener->swept_at + SWEEP_PERIOD;
  if (moment >= listener->sweep_at)
    return;
  uint64_t now = uv_hrtime();
  listener->sweep_at = moment;
  uv_timer_start(&listener->sweep, listener->on_sweep,
                 moment > now ? (moment - now) / 1000000 + 1 : 0, 0);
}

void connection_due(struct connection *connection, uint64_t deadline) {
  connection->deadline = deadline;
  listener_sweep_by(connection->listener, deadline);
}

void connection_enter(struct connection *connection, enum connection_state state, double seconds) {
  connection->state = state;
  connection->since = uv_hrtime();
  connection_due(connection, connection->since + (uint64_t)(seconds * 1e9));
}

static void free_handle(uv_handle_t *handle) {
  free(handle);
}

void connection_unwatch(struct connection *connection) {
  if (!connection->watch)
    return;
  uv_poll_stop(connection->watch);
  uv_close((uv_handle_t *)connection->watch, free_handle);
  connection->watch = NULL;
}

static void on_disconnect(uv_poll_t *handle, int status, int events) {
  struct connection *connection = handle->data;
  (void)events;
  connection->left(connection, status < 0);
}

void connection_watch(struct connection *connection, connection_left *left) {
  uv_poll_t *watch = malloc(sizeof *watch);
  if (!watch)
    return; /* the client's leaving will show when the answer is written */
  if (uv_poll_init(connection->listener->loop, watch, connection->socket)) {
    free(watch);
    return;
  }
  watch->data = connection;
  connection->left = left;
  connection->watch = watch;
  uv_poll_start(watch, UV_DISCONNECT, on_disconnect);
}

static void read_peer(const struct sockaddr *address, struct connection *connection) {
  if (address && address->sa_family == AF_UNIX) {
    strcpy(connection->peer, "unix");
    return;
  }
  if (!address || getnameinfo(address,
                              address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                             : sizeof(struct sockaddr_in),
                              connection->peer, sizeof connection->peer, NULL, 0, NI_NUMERICHOST))
    connection->peer[0] = '\0';
}

/* Half a handshake makes libmicrohttpd ask for processor time again and again, so their number is
 * bounded. */
static bool is_shaking_hands(const struct connection *connection) {
  return !connection->requests;
}

bool connection_is_idle(const struct connection *connection) {
  char byte;
  return connection->state == CONNECTION_WAITING && !intake_holds(&connection->intake) &&
         connection->requests == connection->intake.heads &&
         recv(connection->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* Of the connections of a kind the oldest gives way where there are `most` already. */
static bool give_way(struct listener *listener, bool (*kind)(const struct connection *),
                     unsigned most) {
  struct connection *oldest = NULL;
  unsigned count = 0;
  for (struct connection *one = listener->connections; one; one = one->next)
    if (!one->closing && kind(one)) {
      count++;
      oldest = one;
    }
  if (!oldest || count < most)
    return false;
  oldest->closing = true;
  shutdown(oldest->socket, SHUT_RDWR);
  return true;
}

struct connection *connection_open(struct listener *listener, int socket,
                                   const struct sockaddr *address) {
  struct connection *connection = calloc(1, sizeof *connection);
  bool tls = listener->options.certificate != NULL;
  if (!connection || !intake_begin(&connection->intake, socket, tls)) {
    free(connection);
    return NULL; /* its first request will be dropped */
  }
  const struct http_limits *limits = &listener->options.limits;
  connection->listener = listener;
  connection->socket = socket;
  connection->surplus = listener->connection_count >= limits->connections &&
                        !(limits->idle_give_way && give_way(listener, connection_is_idle, 1));
  read_peer(address, connection);
  double patience = limits->header_time;
  if (connection->surplus && patience > SURPLUS_TIME)
    patience = SURPLUS_TIME;
  connection_enter(connection, CONNECTION_WAITING, patience);
  if (tls)
    give_way(listener, is_shaking_hands, HANDSHAKES_MAX);
  connection->next = listener->connections;
  if (connection->next)
    connection->next->previous = connection;
  listener->connections = connection;
  listener->connection_count++;
  return connection;
}

void connection_close(struct connection *connection) {
  if (!connection)
    return;
  struct listener *listener = connection->listener;
  connection_unwatch(connection);
  if (connection->previous)
    connection->previous->next = connection->next;
  else
    listener->connections = connection->next;
  if (connection->next)
    connection->next->previous = connection->previous;
  listener->connection_count--;
  certificate_release(connection->certificate);
  intake_end(&connection->intake, connection->socket);
  free(connection);
}

/* ---- libmicrohttpd in the loop --------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

/* With half of a TLS handshake there libmicrohttpd wants to run again at once for ever, and a timer
 * of zero that starts itself again keeps the loop from all else: so it gets some runs in a row, and
 * then a rest that grows, which ends early when something comes in. */
static void run(struct listener *listener) {
  MHD_UNSIGNED_LONG_LONG wait;
  bool wanted, at_once;
  unsigned runs = 0;
  do {
    MHD_run(listener->daemon);
    wanted = MHD_get_timeout(listener->daemon, &wait) == MHD_YES;
    at_once = wanted && !wait;
  } while (at_once && ++runs < RUNS_MAX);
  listener->rest = at_once && listener->rest < REST_MAX ? listener->rest + 1
                   : at_once                            ? REST_MAX
                                                        : 0;
  if (wanted)
    uv_timer_start(&listener->timer, on_timer, at_once ? listener->rest : wait, 0);
  else
    uv_timer_stop(&listener->timer);
}

static void on_timer(uv_timer_t *timer) {
  run(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  run(poll->data);
}

void listener_wake(struct listener *listener) {
  uv_timer_start(&listener->timer, on_timer, 0, 0);
}

void listener_drive(struct listener *listener) {
  int epoll = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  uv_poll_init(listener->loop, &listener->poll, epoll);
  uv_timer_init(listener->loop, &listener->timer);
  uv_timer_init(listener->loop, &listener->sweep);
  listener->poll.data = listener->timer.data = listener->sweep.data = listener;
  uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

void listener_rest(struct listener *listener) {
  uv_close((uv_handle_t *)&listener->poll, NULL);
  uv_close((uv_handle_t *)&listener->timer, NULL);
  uv_close((uv_handle_t *)&listener->sweep, NULL);
}
