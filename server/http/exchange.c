/* An answer leaves by libmicrohttpd, which a suspended exchange is handed back to first, or by hand
 * where libmicrohttpd takes none. What ends an exchange early (its deadline, its client, the end of
 * the server) fills in the reply and then answers as any other, so there is one way out. */
#include "exchange.h"

#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <gnutls/gnutls.h>
#include <microhttpd.h>

#include "compress.h"
#include "priority.h"

#define PROBE_PERIOD        ((uint64_t)1000000000) /* nanoseconds */
#define COMPRESSED_HERE_MAX ((size_t)1 << 20)      /* bytes */
#define LINGER_TIME         10.0 /* seconds to read and drop what a refused client still sends */

const char *exchange_header(const struct exchange *exchange, const char *name) {
  return MHD_lookup_connection_value(exchange->mhd, MHD_HEADER_KIND, name);
}

struct header_lines {
  const char *name;
  struct text joined;
};

static enum MHD_Result join_line(void *context, enum MHD_ValueKind kind, const char *name,
                                 const char *value) {
  struct header_lines *lines = context;
  (void)kind;
  if (!strcasecmp(name, lines->name) && value)
    text_print(&lines->joined, "%s%s", lines->joined.size ? ", " : "", value);
  return MHD_YES;
}

struct text exchange_header_list(const struct exchange *exchange, const char *name) {
  struct header_lines lines = {.name = name};
  MHD_get_connection_values(exchange->mhd, MHD_HEADER_KIND, join_line, &lines);
  return lines.joined;
}

unsigned exchange_urgency(const struct exchange *exchange) {
  struct text list = exchange_header_list(exchange, "Priority");
  bool given = list.size && !list.failed;
  unsigned urgency = given ? priority_urgency(list.data) : URGENCY_DEFAULT;
  text_free(&list);
  return urgency;
}

const char *exchange_query(const struct exchange *exchange, const char *name) {
  const char *value = NULL;
  bool given = MHD_lookup_connection_value_n(exchange->mhd, MHD_GET_ARGUMENT_KIND, name,
                                             strlen(name), &value, NULL) == MHD_YES;
  return given && !value ? "" : value;
}

/* ---- query ----------------------------------------------------------------------------------- */

struct query_check {
  const char *const *names;
  unsigned seen; /* bit i: names[i] */
  const char *unknown, *twice;
};

static enum MHD_Result check_parameter(void *context, enum MHD_ValueKind kind, const char *name,
                                       const char *value) {
  (void)kind;
  (void)value;
  struct query_check *check = context;
  unsigned i = 0;
  while (check->names[i] && strcmp(check->names[i], name))
    i++;
  if (!check->names[i])
    check->unknown = name;
  else if (check->seen & 1u << i)
    check->twice = name;
  check->seen |= 1u << i;
  return check->unknown || check->twice ? MHD_NO : MHD_YES;
}

bool exchange_check_query(struct exchange *exchange, const char *const *names) {
  struct query_check check = {.names = names};
  MHD_get_connection_values(exchange->mhd, MHD_GET_ARGUMENT_KIND, check_parameter, &check);
  if (check.twice)
    reply_problem(&exchange->reply, PROBLEM_BAD_PARAMETER, "'%.60s' is given twice", check.twice);
  if (!check.unknown)
    return !check.twice;
  char allowed[256] = "";
  for (size_t i = 0; names[i]; i++) {
    strncat(allowed, i ? ", " : "", sizeof allowed - strlen(allowed) - 1);
    strncat(allowed, names[i], sizeof allowed - strlen(allowed) - 1);
  }
  reply_problem(&exchange->reply, PROBLEM_BAD_PARAMETER,
                "'%.60s' is not a parameter here; allowed: %s", check.unknown,
                *allowed ? allowed : "none");
  return false;
}

/* ---- sending --------------------------------------------------------------------------------- */

static bool closes(const struct exchange *exchange) {
  return exchange->reply.close || exchange->listener->draining || exchange->connection->surplus;
}

/* The headers that every answer has. */
static void add_common_headers(struct exchange *exchange) {
  struct reply *reply = &exchange->reply;
  if (*exchange->request_id)
    reply_header(reply, "X-Request-Id", "%s", exchange->request_id);
  if (*exchange->trace_id)
    reply_header(reply, "traceparent", "00-%s-%s-%s", exchange->trace_id, exchange->span_id,
                 exchange->trace_flags);
  if (*exchange->origin) {
    reply_header(reply, "Access-Control-Allow-Origin", "%s", exchange->origin);
    reply_header(reply, "Access-Control-Expose-Headers",
                 "ETag, Inference-Header-Content-Length, RateLimit, RateLimit-Policy, Retry-After, "
                 "Server-Timing, X-Request-Id, "
                 "X-Vqct-Model, X-Vqct-Shape, "
                 "X-Vqct-Psnr, X-Vqct-Ssim");
  }
  bool by_origin = exchange->listener->options.origin_count, by_coding = reply->varies;
  if (by_origin || by_coding)
    reply_header(reply, "Vary", "%s%s%s", by_coding ? "Accept-Encoding" : "",
                 by_coding && by_origin ? ", " : "", by_origin ? "Origin" : "");
  if (!reply_has_header(reply, "Server-Timing"))
    reply_header(reply, "Server-Timing", "total;dur=%.2f",
                 (double)(uv_hrtime() - exchange->started) * 1e-6);
  reply_header(reply, "X-Content-Type-Options", "nosniff");
  if (closes(exchange))
    reply_header(reply, "Connection", "close");
}

static struct MHD_Response *make_response(struct exchange *exchange) {
  struct reply *reply = &exchange->reply;
  if (exchange->streams)
    return stream_response(&exchange->stream);
  if (reply->fixed && reply->release) {
    struct MHD_Response *held = MHD_create_response_from_buffer_with_free_callback_cls(
        reply->fixed_size, (void *)(uintptr_t)reply->fixed, reply->release, reply->held);
    if (held)
      reply->release = NULL; /* by libmicrohttpd, on this thread */
    return held;
  }
  if (reply->fixed)
    return MHD_create_response_from_buffer(reply->fixed_size, (void *)(uintptr_t)reply->fixed,
                                           MHD_RESPMEM_PERSISTENT);
  struct MHD_Response *response =
      MHD_create_response_from_buffer(reply->body.size, reply->body.data, MHD_RESPMEM_MUST_FREE);
  if (response)
    reply->body = (struct text){0};
  return response;
}

/* What was made on this thread is compressed on it, too, where that takes it some milliseconds. */
static void compress(struct exchange *exchange) {
  struct reply *reply = &exchange->reply;
  reply->varies = reply->varies || reply->coding || compress_worthwhile(reply);
  size_t size = reply->fixed ? reply->fixed_size : reply->body.size;
  if (exchange->takes_gzip && size <= COMPRESSED_HERE_MAX && compress_worthwhile(reply))
    compress_reply(reply);
}

bool exchange_send(struct exchange *exchange) {
  struct reply *reply = &exchange->reply;
  if (reply->body.failed)
    reply_problem(reply, PROBLEM_OUT_OF_MEMORY, "the answer does not fit into memory");
  compress(exchange);
  add_common_headers(exchange);
  exchange->bytes_out = reply->fixed ? reply->fixed_size : reply->body.size;
  struct MHD_Response *response = make_response(exchange);
  if (!response)
    return false;
  if (reply->type)
    MHD_add_response_header(response, "Content-Type", reply->type);
  if (reply->coding)
    MHD_add_response_header(response, "Content-Encoding", reply->coding);
  for (size_t i = 0; i < reply->header_count; i++)
    MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
  exchange->stage = exchange->streams ? STAGE_STREAMING : STAGE_WRITING;
  connection_enter(exchange->connection, CONNECTION_WRITING,
                   exchange->listener->options.limits.write_time);
  bool queued = MHD_queue_response(exchange->mhd, reply->status, response) == MHD_YES;
  MHD_destroy_response(response);
  return queued;
}

/* ---- waiting ------------------------------------------------------------------------ */

/* Has libmicrohttpd ask for the answer. */
static void make_ready(struct exchange *exchange) {
  exchange->stage = STAGE_READY;
  exchange->connection->deadline = UINT64_MAX; /* until it is written, at once */
  connection_unwatch(exchange->connection);
  MHD_resume_connection(exchange->mhd);
  listener_wake(exchange->listener);
}

void exchange_answer(struct exchange *exchange) {
  exchange->request = NULL;
  make_ready(exchange);
}

/* What is sent already cannot be taken back, so that the body breaks off; the status is for figures
 * and the log. */
static void end_stream(struct exchange *exchange, enum exchange_end end) {
  void *request = exchange->request;
  exchange->request = NULL;
  if (request)
    exchange->cancel(request, end);
  exchange->reply.status = end == EXCHANGE_DEADLINE ? 504 : 503;
  stream_break(&exchange->stream);
}

void exchange_end(struct exchange *exchange, enum exchange_end end) {
  if (exchange->stage == STAGE_STREAMING)
    end_stream(exchange, end);
  if (exchange->stage != STAGE_SUSPENDED)
    return;
  if (exchange->request)
    exchange->cancel(exchange->request, end);
  switch (end) {
  case EXCHANGE_DEADLINE:
    reply_problem(&exchange->reply, PROBLEM_DEADLINE, "it was dropped");
    break;
  case EXCHANGE_CLIENT_GONE: /* nobody reads it */
    reply_problem(&exchange->reply, PROBLEM_BAD_REQUEST, "the client has left");
    exchange->reply.close = true;
    break;
  case EXCHANGE_STOPPED:
    reply_problem(&exchange->reply, PROBLEM_DRAINING, "the request was given up");
    exchange->reply.close = true;
    break;
  }
  exchange_answer(exchange);
}

static void write_socket(const struct exchange *exchange, const char *data, size_t size) {
  const union MHD_ConnectionInfo *tls =
      MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  if (tls && tls->tls_session)
    (void)gnutls_record_send(tls->tls_session, data, size);
  else
    (void)send(exchange->connection->socket, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void client_left(struct exchange *exchange) {
  exchange->client_gone = true;
  exchange_end(exchange, EXCHANGE_CLIENT_GONE);
}

static void on_left(struct connection *connection, bool certain) {
  struct exchange *exchange = connection->exchange;
  if (certain) {
    client_left(exchange);
    return;
  }
  connection_unwatch(connection);
  exchange->probe_at = uv_hrtime() + PROBE_PERIOD;
  listener_sweep_by(exchange->listener, 0);
}

bool exchange_probe(struct exchange *exchange, uint64_t now) {
  static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
  struct pollfd news = {.fd = exchange->connection->socket, .events = POLLOUT};
  if (!exchange->probe_at || exchange->stage != STAGE_SUSPENDED)
    return false;
  if (poll(&news, 1, 0) < 1)
    return true;
  if (news.revents & (POLLERR | POLLHUP)) {
    client_left(exchange);
  } else if (exchange->interim && exchange->probe_at <= now) {
    write_socket(exchange, interim, sizeof interim - 1);
    exchange->probe_at = now + PROBE_PERIOD;
  }
  return exchange->stage == STAGE_SUSPENDED;
}

void exchange_begin(struct exchange *exchange) {
  exchange->streams = true;
  exchange->stream.mhd = exchange->mhd;
  exchange->stream.connection = exchange->connection;
  exchange->stream.left = on_left;
  exchange->stream.deadline = exchange->deadline;
  make_ready(exchange);
}

void exchange_finish(struct exchange *exchange) {
  exchange->request = NULL;
  stream_end(&exchange->stream);
}

void exchange_suspend(struct exchange *exchange) {
  struct connection *connection = exchange->connection;
  exchange->stage = STAGE_SUSPENDED;
  connection->state = CONNECTION_BUSY;
  connection_due(connection, exchange->deadline);
  MHD_suspend_connection(exchange->mhd);
  connection_watch(connection, on_left);
}

/* ---- answers by hand ------------------------------------------------------------------------- */

void exchange_abort(struct exchange *exchange) {
  struct reply *reply = &exchange->reply;
  reply->close = true;
  add_common_headers(exchange);
  struct text head = {0};
  text_print(&head, "HTTP/1.1 %u %s\r\n", reply->status, MHD_get_reason_phrase_for(reply->status));
  if (reply->type)
    text_print(&head, "Content-Type: %s\r\nContent-Length: %zu\r\n", reply->type, reply->body.size);
  for (size_t i = 0; i < reply->header_count; i++)
    text_print(&head, "%s: %s\r\n", reply->headers[i].name, reply->headers[i].value);
  text_add(&head, "\r\n", 2);
  if (strcmp(exchange->method, "HEAD"))
    text_add(&head, reply->body.data, reply->body.size);
  if (!head.failed)
    write_socket(exchange, head.data, head.size);
  text_free(&head);
  text_free(&exchange->body);
  exchange->bytes_out = reply->body.size;
  shutdown(exchange->connection->socket, SHUT_WR);
  exchange->stage = STAGE_ABORTED;
  connection_enter(exchange->connection, CONNECTION_LINGERING, LINGER_TIME);
}

void connection_refuse(const struct connection *connection, enum problem problem,
                       const char *detail) {
  if (connection->listener->options.certificate)
    return; /* the session is libmicrohttpd's: such a client is only hung up on */
  struct text body = {0}, head = {0};
  unsigned status = problem_write(&body, problem, detail);
  text_print(&head,
             "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\n"
             "Connection: close\r\nContent-Length: %zu\r\n\r\n",
             status, MHD_get_reason_phrase_for(status), body.size);
  text_add(&head, body.data, body.size);
  if (!head.failed)
    (void)send(connection->socket, head.data, head.size, MSG_DONTWAIT | MSG_NOSIGNAL);
  text_free(&body);
  text_free(&head);
}
