/* One request and its answer.
 *
 *   headers ─┬─ refused ──────────────── discard body ─┐
 *            └─ body ─ handler ─┬─ answered at once ───┼─ writing ─ done
 *                               ├─ suspended ─ answer ─┘           │
 *                               └─ suspended ─ begin ─ streaming ──┘
 *   any stage before `writing` may end in `aborted`: a plain 408 or 413 was written to the socket
 *   and what the client still sends is read and dropped for a moment.
 *
 * libmicrohttpd calls in for each arrow; it takes an answer only right after the headers or after
 * the whole body, so an answer in the middle of a body goes to the socket by hand. All of this runs
 * on the loop thread. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "port.h"
#include "reply.h"
#include "stream.h"

struct MHD_Connection;
struct exchange;

enum exchange_end {
  EXCHANGE_CLIENT_GONE, /* the client closed its connection */
  EXCHANGE_DEADLINE,    /* the deadline passed */
  EXCHANGE_STOPPED      /* the server stops */
};

/** Called when an exchange ends while suspended; the request must forget the exchange. */
typedef void exchange_cancel(void *request, enum exchange_end end);

enum exchange_stage {
  STAGE_BODY,
  STAGE_DISCARD,
  STAGE_SUSPENDED,
  STAGE_READY,
  STAGE_WRITING,
  STAGE_STREAMING,
  STAGE_ABORTED
};

#define REQUEST_ID_MAX 64

struct exchange {
  struct listener *listener;
  struct connection *connection;
  struct MHD_Connection *mhd;
  const struct route *route;               /* NULL where none matched */
  const char *method;                      /* a literal */
  char parameter[ROUTE_PARAMETER_MAX + 1]; /* what stood for {id} in the path */
  enum exchange_stage stage;
  uint64_t started, deadline; /* uv_hrtime(): headers complete; the answer is due */
  uint64_t body_at;           /* the body was complete */
  uint64_t body_limit;        /* bytes */
  uint64_t declared;          /* Content-Length; UINT64_MAX for chunks */
  struct text body;
  uint64_t bytes_in, bytes_out;
  uint64_t dropped; /* bytes that came after it was aborted */
  struct reply reply;
  bool streams; /* the answer's body is the stream, not the reply's */
  struct stream stream;
  char request_id[REQUEST_ID_MAX + 1];
  char trace_id[33], span_id[17], parent_id[17]; /* W3C trace context, in hexadecimal */
  char trace_flags[3];
  bool has_key; /* one that is known, with this hash and name */
  unsigned char key_hash[KEY_HASH_BYTES];
  char key_name[KEY_NAME_MAX];
  char
      subject[65]; /* what the handler works on, for logs and figures; "" where that is not known */
  size_t pictures; /* that the request was found to have, for logs */
  char origin[256]; /* an allowed Origin, or "" */
  void *request;    /* of the handler, while suspended and before */
  exchange_cancel *cancel;
  bool client_gone;
  bool takes_gzip;   /* the client accepts answers in that form */
  bool interim;      /* the client knows interim answers: no HTTP/1.0 */
  uint64_t probe_at; /* uv_hrtime() of the next probe; 0 while the client may send */
};

/** A request header by name (any case), NULL if there is none. */
const char *exchange_header(const struct exchange *exchange, const char *name);

/** A request header whose lines, there may be several, are one list (RFC 9110, section 5.3): joined
 * by commas, of size 0 if there is none, `failed` where memory is exhausted. The caller frees it.
 */
struct text exchange_header_list(const struct exchange *exchange, const char *name);

/** How urgent the client says that its request is, by Priority (priority.h). */
unsigned exchange_urgency(const struct exchange *exchange);

/** A query parameter, percent-decoded; "" where it has no value, NULL if there is none. */
const char *exchange_query(const struct exchange *exchange, const char *name);

/** True if every query parameter is one of `names` (NULL-terminated) and none is given twice; else
 * the reply is a problem that names it. */
bool exchange_check_query(struct exchange *exchange, const char *const *names);

/** Leaves the answer for later; exactly one exchange_answer or a call of cancel ends that. */
void exchange_suspend(struct exchange *exchange);

/** Sends exchange->reply, which the caller has filled. */
void exchange_answer(struct exchange *exchange);

/** Sends the status and headers of exchange->reply, which the caller has filled, to be followed by
 * what is added to exchange->stream. Until exchange_finish the exchange may be cancelled as while
 * it was suspended. */
void exchange_begin(struct exchange *exchange);

/** Ends the stream; the request is done with its exchange. */
void exchange_finish(struct exchange *exchange);

/** To be called now and then for a suspended exchange; whether it is to be called again soon.
 *
 * A client that left and one that closed its own side only, and still wants the answer, look the
 * same until something is sent. So after a while an interim answer is, and a client that has left
 * resets the connection. */
bool exchange_probe(struct exchange *exchange, uint64_t now);

/** Ends a suspended exchange from outside: cancels the request and answers with a problem. */
void exchange_end(struct exchange *exchange, enum exchange_end end);

/** Gives up a request whose body is still arriving: writes exchange->reply to the socket, then
 * reads and drops what comes for a moment. */
void exchange_abort(struct exchange *exchange);

/** Writes a problem to a connection whose request has not been parsed. With TLS nothing is. */
void connection_refuse(const struct connection *connection, enum problem problem,
                       const char *detail);

/** Gives exchange->reply to libmicrohttpd; false where it does not take it. */
bool exchange_send(struct exchange *exchange);

#endif
