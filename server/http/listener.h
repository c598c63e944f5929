/* A port: a libmicrohttpd daemon driven by the libuv loop.
 *
 * libmicrohttpd runs without a thread of its own; the loop polls its epoll descriptor, and after
 * every run and every resume asks it when it wants to run next, or a large upload would stall. Its
 * own timeout counts idleness only and its connection limit leaves clients hanging, so each
 * connection carries a deadline here for whatever it is doing, and connections over the limit are
 * let in, told so with a 503, and closed. All functions belong to the loop thread.
 *
 * What its parser refuses (a malformed first line, header or chunk, headers that do not fit,
 * another version of HTTP) libmicrohttpd 0.9.75 answers itself with a constant line of HTML, before
 * or without calling us; no option and no callback changes that, so these are no problem documents.
 */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "admission.h"
#include "keys.h"
#include "vqct/status.h"

struct exchange;
struct listener;
struct MHD_Connection;

/** What is served at a path. */
struct route {
  const char *method; /* "GET" (HEAD too) or "POST" */
  const char *path;   /* "{id}" may stand for one segment */
  bool open;          /* needs no API key */
  /** Called when the headers are in, before the body is read; may refuse by filling the reply and
   * returning false. NULL: nothing to check. */
  bool (*admit)(void *context, struct exchange *exchange);
  /** Called when more of a body without a declared length has come; false as for admit. */
  bool (*grow)(void *context, struct exchange *exchange, uint64_t bytes);
  /** Called when the request is complete: fills the reply or suspends the exchange. */
  void (*handle)(void *context, struct exchange *exchange);
};

/** Limits on what a client may do; durations in seconds. */
struct http_limits {
  unsigned connections;
  uint64_t body_bytes;
  double header_time, body_time, idle_time, write_time;
  double request_time, request_time_max; /* by default; the most that a client may ask for */
};

struct listener_options {
  const char *address; /* "HOST:PORT", "[IPV6]:PORT"; port 0 picks a free one */
  const struct route *routes;
  size_t route_count;
  struct http_limits limits;
  const char *certificate, *certificate_key; /* PEM texts, or NULL for plain HTTP */
  const char *const *origins;                /* that browsers may call from; "*" for all */
  size_t origin_count;
  const struct keys *const *keys; /* where the keys stand now; *keys NULL: none needed */
  void *context;                  /* for the routes and the calls below */
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

struct connection {
  struct connection *next, *previous;
  struct listener *listener;
  struct exchange *exchange; /* NULL between requests */
  int socket;
  enum connection_state state;
  uint64_t deadline; /* uv_hrtime() */
  uint64_t requests; /* begun on it */
  bool surplus;      /* over the limit: to be turned away */
  char peer[64];     /* address */
  uv_poll_t *watch;  /* on the socket while suspended, to see the client leave */
};

struct listener {
  struct listener_options options;
  uv_loop_t *loop;
  struct MHD_Daemon *daemon;
  uv_poll_t poll;
  uv_timer_t timer, sweep;
  int socket;
  unsigned port;
  struct connection *connections;
  unsigned connection_count, exchange_count;
  bool draining; /* answers close their connections */
  bool closed;   /* the listening socket is */
};

/** Connections that a port for so many of them holds, each with a descriptor: those above are told
 * that they are too many. */
unsigned listener_most(unsigned connections);

/** Binds, listens and serves. Errors: INVALID (address), UNAVAILABLE (cannot bind), READ (TLS
 * files), MEMORY. */
enum vqct_status listener_start(struct listener *listener, uv_loop_t *loop,
                                const struct listener_options *options, struct vqct_error *error);

/** Lets libmicrohttpd run soon: after a resume. */
void listener_wake(struct listener *listener);

/** Stops accepting and closes the listening socket; connections live on. */
void listener_close(struct listener *listener);

/** Closes the connections that wait for a request, and says whether none is left. */
bool listener_drain(struct listener *listener);

/** Answers 503 to every suspended exchange, hangs up on clients that still send, and soon on those
 * that do not read their answer. */
void listener_refuse(struct listener *listener);

/** Ends all: exchanges that are suspended are answered 503, connections are closed, handles too
 * (the loop must run once more). */
void listener_stop(struct listener *listener);

/** Sets what a connection does now and how long it may, in seconds. */
void connection_enter(struct connection *connection, enum connection_state state, double seconds);

/** Watches a suspended connection's socket for the client leaving; and stops that. */
void connection_watch(struct connection *connection);
void connection_unwatch(struct connection *connection);

#endif
