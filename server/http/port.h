/* What is known of a port and of its connections, and libmicrohttpd driven by the libuv loop: the
 * floor that exchanges, the handler and the listener stand on.
 *
 * libmicrohttpd runs without a thread of its own; the loop polls its epoll descriptor, and after
 * every run and every resume asks it when it wants to run next, or a large upload would stall. All
 * functions belong to the loop thread. */
#ifndef HTTP_PORT_H
#define HTTP_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <sys/socket.h>

#include <uv.h>

#include "certificate.h"
#include "intake.h"
#include "keys.h"
#include "sockets.h"
#include "vqct/status.h"

struct exchange;
struct listener;

enum route_flag {
  ROUTE_OPEN = 1,   /* needs no API key */
  ROUTE_POLLED = 2, /* is asked again and again, so of little interest to a log */
};

/** What is served at a path. */
struct route {
  const char *method; /* "GET" (HEAD too) or "POST" */
  const char *path;   /* "{id}" may stand for one segment */
  unsigned flags;     /* enum route_flag */
  /** Called when the headers are in, before the body is read; may refuse by filling the reply and
   * returning false. NULL: nothing to check. */
  bool (*admit)(void *context, struct exchange *exchange);
  /** Called when more of a body without a declared length has come; false as for admit. */
  bool (*grow)(void *context, struct exchange *exchange, uint64_t bytes);
  /** Called when the request is complete: fills the reply or suspends the exchange. */
  void (*handle)(void *context, struct exchange *exchange);
};

#define ROUTE_PARAMETER_MAX 96 /* characters that stand for "{id}" */

/** Memory of one connection in bytes: uploads like it, small requests bear it. */
#define LISTENER_MEMORY_BYTES (64u << 10)

/** Limits on what a client may do; durations in seconds. */
struct http_limits {
  unsigned connections;
  bool idle_give_way; /* a connection over the limit takes the place of the oldest idle one */
  uint64_t body_bytes;
  double header_time, body_time, idle_time, write_time;
  double request_time, request_time_max; /* by default; the most that a client may ask for */
};

struct listener_options {
  const char *address;            /* address.h; port 0 picks a free one */
  unsigned mode;                  /* of Unix sockets */
  struct listen_sockets *sockets; /* in place of the address, and taken over; NULL or empty: none */
  const struct route *routes;
  size_t route_count;
  struct http_limits limits;
  struct certificate *const *certificate; /* where it stands now; NULL for plain HTTP */
  const char *tls_priority;               /* of GnuTLS */
  const char *const *origins;             /* that browsers may call from; "*" for all */
  size_t origin_count;
  struct keys *const *keys;      /* where the keys stand now; *keys NULL: none needed */
  const char *error_member_path; /* at and below it, problems are {"error": SENTENCE}; or NULL */
  void *context;                 /* for the routes and the calls below */
  /** After each exchange: for logs and metrics. */
  void (*finished)(void *context, const struct exchange *exchange);
};

/** What a connection is doing; each has a deadline. */
enum connection_state {
  CONNECTION_WAITING, /* for a request's headers */
  CONNECTION_BODY,
  CONNECTION_BUSY, /* the server works */
  CONNECTION_WRITING,
  CONNECTION_LINGERING /* answered by hand; what comes is dropped */
};

struct connection;

/** Called when the client of a watched connection has left or, where that is not `certain`, may
 * only have closed its own side. */
typedef void connection_left(struct connection *connection, bool certain);

struct connection {
  struct connection *next, *previous;
  struct listener *listener;
  struct exchange *exchange;       /* NULL between requests */
  struct certificate *certificate; /* that it was shown; NULL without TLS */
  struct intake intake;
  int socket;
  enum connection_state state;
  uint64_t since, deadline; /* uv_hrtime() */
  uint64_t requests;        /* begun on it */
  bool closing;             /* shut, as it was the oldest without a request */
  bool surplus;             /* over the limit: to be turned away */
  char peer[64];            /* address */
  uv_poll_t *watch;         /* on the socket while suspended, to see the client leave */
  connection_left *left;
};

struct listener {
  struct listener_options options;
  uv_loop_t *loop;
  struct MHD_Daemon *daemon;
  uv_poll_t poll;
  uv_timer_t timer, sweep;
  uv_timer_cb on_sweep;        /* looks at the deadlines */
  uint64_t sweep_at, swept_at; /* uv_hrtime() of the next look, UINT64_MAX for none, and the last */
  uint64_t rest; /* milliseconds until it runs again, when it asks for that at once for ever */
  struct listen_sockets sockets;
  uv_poll_t accepting[LISTEN_SOCKETS_MAX]; /* one each */
  uv_timer_t retry;                        /* of accepting */
  bool full;                               /* there is no room, so none is accepted */
  unsigned port;                           /* 0: there is none */
  struct connection *connections;
  unsigned connection_count, exchange_count;
  bool draining; /* answers close their connections */
  bool closed;   /* the listening sockets are */
};

/** Connections that a port for so many of them holds, each with a descriptor: those above are told
 * that they are too many. */
unsigned listener_most(unsigned connections);

/** Lets libmicrohttpd run soon: after a resume. */
void listener_wake(struct listener *listener);

/** Drives libmicrohttpd's daemon, which the listener has, by the loop; and stops that, closing the
 * handles. */
void listener_drive(struct listener *listener);
void listener_rest(struct listener *listener);

/** A connection that libmicrohttpd has accepted, in the listener's list; NULL where memory fails.
 */
struct connection *connection_open(struct listener *listener, int socket,
                                   const struct sockaddr *address);

/** Takes a connection off the list and frees it; NULL is allowed. */
void connection_close(struct connection *connection);

/** Has the deadlines looked at by then (uv_hrtime()), or a little later where they just were. */
void listener_sweep_by(struct listener *listener, uint64_t moment);

/** Sets when a connection's time is over (uv_hrtime()). */
void connection_due(struct connection *connection, uint64_t deadline);

/** Sets what a connection does now and how long it may, in seconds. */
void connection_enter(struct connection *connection, enum connection_state state, double seconds);

/** Whether a connection waits for a request of which no byte has come. */
bool connection_is_idle(const struct connection *connection);

/** Watches a suspended connection's socket for the client leaving; and stops that. */
void connection_watch(struct connection *connection, connection_left *left);
void connection_unwatch(struct connection *connection);

#endif
