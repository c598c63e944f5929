/* A request is refused as early as it can be: what its bytes' check found (intake.h), then the
 * route, the key, the deadline and the length, then the route's own admission, all before the
 * first byte of the body. What was refused is still read for a while, since a socket that closes
 * on unread data takes the answer with it. */
#include "handler.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "compress.h"
#include "exchange.h"
#include "head.h"
#include "router.h"

/* Of a refused body that is read to keep the connection. */
#define DISCARD_BYTES_MAX ((uint64_t)1 << 20)
/* Of an aborted body that are read and dropped: all of a declared one of moderate size, since many
 * clients read the answer only when they have sent everything. */
#define LINGER_BYTES_MAX ((uint64_t)16 << 20)
#define LINGER_WHOLE_MAX ((uint64_t)128 << 20)
#define KEY_BYTES_MAX    1024                /* of a key in a header */
#define FIRST_BODY_BYTES ((uint64_t)1 << 20) /* room made for a body before it has come */

/* ---- who asks -------------------------------------------------------------------------------- */

static void random_hex(char *text, size_t digits) {
  unsigned char bytes[16] = {0};
  if (getrandom(bytes, sizeof bytes, 0) < 0)
    memset(bytes, 0, sizeof bytes); /* only marks log lines: no secret hangs on it */
  for (size_t i = 0; i < digits; i++)
    text[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
  text[digits] = '\0';
}

static void set_request_id(struct exchange *exchange) {
  const char *given = exchange_header(exchange, "X-Request-Id");
  size_t length = given ? strlen(given) : 0;
  bool sound = length > 0 && length <= REQUEST_ID_MAX;
  for (size_t i = 0; sound && i < length; i++)
    sound = isalnum((unsigned char)given[i]) || strchr("-_.", given[i]);
  if (sound)
    memcpy(exchange->request_id, given, length + 1);
  else
    random_hex(exchange->request_id, 16);
}

static bool is_hex(const char *text, size_t digits) {
  bool zero = true;
  for (size_t i = 0; i < digits; i++) {
    if (!strchr("0123456789abcdef", text[i]) || !text[i])
      return false;
    zero = zero && text[i] == '0';
  }
  return !zero || digits == 2;
}

/* W3C trace context, level 1: version 00 is "00-" trace "-" span "-" flags. */
static void set_trace(struct exchange *exchange) {
  const char *given = exchange_header(exchange, "traceparent");
  bool sound = given && strlen(given) == 55 && !memcmp(given, "00-", 3) && given[35] == '-' &&
               given[52] == '-' && is_hex(given + 3, 32) && is_hex(given + 36, 16) &&
               is_hex(given + 53, 2);
  random_hex(exchange->span_id, 16);
  if (!sound) {
    random_hex(exchange->trace_id, 32);
    strcpy(exchange->trace_flags, "00");
    return;
  }
  memcpy(exchange->trace_id, given + 3, 32);
  memcpy(exchange->parent_id, given + 36, 16);
  memcpy(exchange->trace_flags, given + 53, 2);
}

static void set_origin(struct exchange *exchange) {
  const struct listener_options *options = &exchange->listener->options;
  const char *origin = exchange_header(exchange, "Origin");
  if (!origin || strlen(origin) >= sizeof exchange->origin)
    return;
  for (size_t i = 0; i < options->origin_count; i++)
    if (!strcmp(options->origins[i], origin) || !strcmp(options->origins[i], "*"))
      strcpy(exchange->origin, origin);
}

/* Blanks around a value are no part of it. */
static const struct key *find_key(struct keys *keys, const char *given) {
  char key[KEY_BYTES_MAX];
  given += strspn(given, " \t");
  size_t size = strlen(given);
  while (size && (given[size - 1] == ' ' || given[size - 1] == '\t'))
    size--;
  if (size >= sizeof key)
    return NULL;
  memcpy(key, given, size);
  key[size] = '\0';
  return keys_find(keys, key);
}

static bool check_key(struct exchange *exchange) {
  struct keys *keys = *exchange->listener->options.keys;
  if (!keys || exchange->route->flags & ROUTE_OPEN)
    return true;
  const char *given = exchange_header(exchange, "X-API-Key");
  const char *authorization = exchange_header(exchange, "Authorization");
  if (!given && authorization && !strncasecmp(authorization, "Bearer ", 7))
    given = authorization + 7;
  const struct key *key = given ? find_key(keys, given) : NULL;
  if (key) {
    exchange->has_key = true;
    memcpy(exchange->key_hash, key->hash, sizeof key->hash);
    memcpy(exchange->key_name, key->name, sizeof key->name);
    return true;
  }
  reply_header(&exchange->reply, "WWW-Authenticate", "Bearer");
  reply_problem(&exchange->reply, PROBLEM_UNAUTHORIZED,
                given ? "the API key is not known" : "give it as Authorization: Bearer");
  return false;
}

static bool set_deadline(struct exchange *exchange) {
  const struct http_limits *limits = &exchange->listener->options.limits;
  const char *given = exchange_header(exchange, "X-Request-Timeout-Ms");
  double seconds = limits->request_time;
  if (given) {
    bool sound = *given && strspn(given, "0123456789") == strlen(given) && strlen(given) <= 9;
    seconds = sound ? strtod(given, NULL) / 1000 : 0;
    if (seconds <= 0 || seconds > limits->request_time_max) {
      reply_problem(&exchange->reply, PROBLEM_BAD_PARAMETER,
                    "X-Request-Timeout-Ms is '%.20s': 1 to %.0f is allowed", given,
                    limits->request_time_max * 1000);
      return false;
    }
  }
  exchange->deadline = exchange->started + (uint64_t)(seconds * 1e9);
  return true;
}

/* ---- headers --------------------------------------------------------------------------------- */

/* Answers OPTIONS: what is allowed, and a browser's question before a call from another origin. */
static void reply_options(struct exchange *exchange, const struct route_match *match) {
  struct reply *reply = &exchange->reply;
  reply->status = MHD_HTTP_NO_CONTENT;
  reply_header(reply, "Allow", "%s", match->allow);
  if (!*exchange->origin)
    return;
  reply_header(reply, "Access-Control-Allow-Methods", "%s", match->allow);
  reply_header(reply, "Access-Control-Allow-Headers",
               "Accept, Authorization, Content-Type, If-None-Match, "
               "Inference-Header-Content-Length, Priority, "
               "X-API-Key, X-Request-Id, X-Request-Timeout-Ms, traceparent");
  reply_header(reply, "Access-Control-Max-Age", "600");
}

/* The path of a request line that names the whole address, which a server must take as well (RFC
 * 9112, section 3.2.2). */
static const char *path_of(const char *url) {
  size_t scheme = !strncasecmp(url, "http://", 7) ? 7 : !strncasecmp(url, "https://", 8) ? 8 : 0;
  const char *path = scheme ? strchr(url + scheme, '/') : url;
  return path ? path : "/";
}

static bool find_route(struct exchange *exchange, const char *method, const char *url) {
  const struct listener_options *options = &exchange->listener->options;
  struct route_match match;
  if (!strcmp(method, "OPTIONS") && !strcmp(url, "*")) { /* of the server as a whole */
    exchange->method = "OPTIONS";
    exchange->reply.status = MHD_HTTP_NO_CONTENT;
    reply_header(&exchange->reply, "Allow", "GET, HEAD, POST, OPTIONS");
    return false;
  }
  router_match(options->routes, options->route_count, method, path_of(url), &match);
  exchange->route = match.route;
  exchange->method = match.method;
  memcpy(exchange->parameter, match.parameter, sizeof match.parameter);
  if (match.route)
    return true;
  if (!match.path_known) {
    reply_problem(&exchange->reply, PROBLEM_NOT_FOUND, "/openapi.json lists what there is");
  } else if (!strcmp(method, "OPTIONS")) {
    reply_options(exchange, &match);
  } else {
    reply_header(&exchange->reply, "Allow", "%s", match.allow);
    reply_problem(&exchange->reply, PROBLEM_METHOD_NOT_ALLOWED, "%s is allowed", match.allow);
  }
  return false;
}

static bool check_body_length(struct exchange *exchange, uint64_t length) {
  bool post = !strcmp(exchange->route->method, "POST");
  if (!post && length != HEAD_NO_BODY && length != 0) {
    reply_problem(&exchange->reply, PROBLEM_BAD_REQUEST, "this address takes no body");
    return false;
  }
  if (post && length == HEAD_NO_BODY) {
    reply_problem(&exchange->reply, PROBLEM_LENGTH_REQUIRED, "there is no body");
    return false;
  }
  exchange->body_limit = post ? exchange->listener->options.limits.body_bytes : 0;
  if (length == HEAD_CHUNKED || length <= exchange->body_limit || !post)
    return true;
  reply_problem(&exchange->reply, PROBLEM_BODY_TOO_LARGE, "%llu bytes are allowed",
                (unsigned long long)exchange->body_limit);
  return false;
}

static bool accept_headers(struct exchange *exchange, const char *url, const char *method,
                           uint64_t length) {
  const struct listener *listener = exchange->listener;
  if (exchange->connection->surplus) {
    reply_problem(&exchange->reply, PROBLEM_TOO_MANY_CONNECTIONS, "close some or try again later");
    return false;
  }
  if (!find_route(exchange, method, url) || !check_key(exchange) || !set_deadline(exchange) ||
      !check_body_length(exchange, length))
    return false;
  return !exchange->route->admit || exchange->route->admit(listener->options.context, exchange);
}

/* A refused request with a small body is read to its end, so that the answer is not lost when the
 * socket closes on unread data, and the connection can be used again. */
static enum MHD_Result refuse(struct exchange *exchange, uint64_t length) {
  bool waits = exchange_header(exchange, "Expect") != NULL;
  bool large = length != HEAD_NO_BODY && length > DISCARD_BYTES_MAX;
  exchange->stage = STAGE_DISCARD;
  if (waits) {
    exchange->reply.close = true;
    return exchange_send(exchange) ? MHD_YES : MHD_NO;
  }
  if (large)
    exchange_abort(exchange);
  return MHD_YES;
}

static struct exchange *exchange_new(struct listener *listener, struct connection *connection,
                                     struct MHD_Connection *mhd) {
  struct exchange *exchange = calloc(1, sizeof *exchange);
  if (!exchange)
    return NULL;
  exchange->listener = listener;
  exchange->connection = connection;
  exchange->mhd = mhd;
  exchange->method = "other";
  exchange->started = uv_hrtime();
  exchange->deadline = exchange->started + (uint64_t)(listener->options.limits.request_time * 1e9);
  connection->exchange = exchange;
  connection->requests++;
  listener->exchange_count++;
  return exchange;
}

static void set_error_form(struct exchange *exchange, const char *url) {
  const char *prefix = exchange->listener->options.error_member_path, *path = path_of(url);
  size_t length = prefix ? strlen(prefix) : 0;
  exchange->reply.error_member =
      prefix && !strncmp(path, prefix, length) && (!path[length] || path[length] == '/');
}

/* Bytes of the body, which the head's check has found sound. */
static uint64_t declared_length(const struct exchange *exchange) {
  if (exchange_header(exchange, "Transfer-Encoding"))
    return HEAD_CHUNKED;
  const char *length = exchange_header(exchange, "Content-Length");
  return length ? strtoull(length, NULL, 10) : HEAD_NO_BODY;
}

/* Gives up a request of which what came is malformed; false where it is sound. */
static bool refuse_malformed(struct exchange *exchange) {
  const struct connection *connection = exchange->connection;
  const struct head_fault *fault = &connection->intake.fault;
  if (!fault->detail || connection->requests != connection->intake.heads)
    return false; /* or it is the fault of a request behind this one */
  reply_problem(&exchange->reply, fault->problem, "%s", fault->detail);
  exchange_abort(exchange);
  return true;
}

static enum MHD_Result take_headers(struct listener *listener, struct MHD_Connection *mhd,
                                    const char *url, const char *method, const char *version,
                                    void **state) {
  struct connection *connection =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
  /* One that came past the check of its head (intake.h) is not served. */
  bool checked = connection && connection->requests < connection->intake.heads;
  struct exchange *exchange = checked ? exchange_new(listener, connection, mhd) : NULL;
  if (!exchange)
    return MHD_NO;
  *state = exchange;
  set_error_form(exchange, url);
  exchange->takes_gzip = compress_accepted(exchange_header(exchange, "Accept-Encoding"));
  exchange->interim = strcmp(version, "HTTP/1.0") != 0;
  set_request_id(exchange);
  set_trace(exchange);
  connection_enter(connection, CONNECTION_BODY, listener->options.limits.body_time);
  if (refuse_malformed(exchange))
    return MHD_YES;
  set_origin(exchange);
  uint64_t length = exchange->declared = declared_length(exchange);
  if (!accept_headers(exchange, url, method, length))
    return refuse(exchange, length);
  if (exchange->deadline < connection->deadline)
    connection_due(connection, exchange->deadline);
  exchange->stage = STAGE_BODY;
  if (length <= exchange->body_limit)
    text_reserve(&exchange->body, (size_t)(length < FIRST_BODY_BYTES ? length : FIRST_BODY_BYTES));
  return MHD_YES;
}

/* ---- body ------------------------------------------------------------------------------------ */

static void take_body(struct exchange *exchange, const char *data, size_t size) {
  const struct listener *listener = exchange->listener;
  const struct route *route = exchange->route;
  if (refuse_malformed(exchange))
    return;
  exchange->bytes_in += size;
  if (exchange->bytes_in > exchange->body_limit) {
    reply_problem(&exchange->reply, PROBLEM_BODY_TOO_LARGE, "%llu bytes are allowed",
                  (unsigned long long)exchange->body_limit);
    exchange_abort(exchange);
    return;
  }
  if (exchange->declared == HEAD_CHUNKED && route->grow &&
      !route->grow(listener->options.context, exchange, size)) {
    exchange_abort(exchange);
    return;
  }
  text_add(&exchange->body, data, size);
  if (exchange->body.failed) {
    reply_problem(&exchange->reply, PROBLEM_OUT_OF_MEMORY, "the body does not fit into memory");
    exchange_abort(exchange);
  }
}

static enum MHD_Result discard(struct exchange *exchange, size_t size) {
  exchange->bytes_in += size;
  if (!refuse_malformed(exchange) && exchange->bytes_in > DISCARD_BYTES_MAX)
    exchange_abort(exchange);
  return MHD_YES;
}

static enum MHD_Result take_end(struct exchange *exchange) {
  exchange->body_at = uv_hrtime();
  exchange->route->handle(exchange->listener->options.context, exchange);
  if (exchange->stage == STAGE_SUSPENDED)
    return MHD_YES;
  return exchange_send(exchange) ? MHD_YES : MHD_NO;
}

static enum MHD_Result linger(struct exchange *exchange, size_t size) {
  bool whole = exchange->declared && exchange->declared <= LINGER_WHOLE_MAX;
  exchange->dropped += size;
  return size && exchange->dropped <= (whole ? LINGER_WHOLE_MAX : LINGER_BYTES_MAX) ? MHD_YES
                                                                                    : MHD_NO;
}

enum MHD_Result handler_access(void *context, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *size, void **state) {
  struct exchange *exchange = *state;
  if (!exchange)
    return take_headers(context, mhd, url, method, version, state);
  size_t came = *size;
  *size = 0;
  switch (exchange->stage) {
  case STAGE_BODY:
    if (!came)
      return take_end(exchange);
    take_body(exchange, data, came);
    return MHD_YES;
  case STAGE_DISCARD:
    if (came)
      return discard(exchange, came);
    return exchange_send(exchange) ? MHD_YES : MHD_NO;
  case STAGE_READY:
    return exchange_send(exchange) ? MHD_YES : MHD_NO;
  case STAGE_ABORTED:
    return linger(exchange, came);
  case STAGE_SUSPENDED:
  case STAGE_WRITING:
  case STAGE_STREAMING:
    break;
  }
  return MHD_YES;
}

/* A coded zero byte or slash stays as it is, and so names nothing here: text would end at the one,
 * and a proxy that has rules for paths does not take the other for the end of a segment. */
size_t handler_unescape(void *context, struct MHD_Connection *mhd, char *text) {
  (void)context;
  (void)mhd;
  char *out = text;
  for (const char *in = text; *in; out++) {
    char digits[3] = {in[0] == '%' ? in[1] : '\0', in[1] ? in[2] : '\0', '\0'};
    bool coded = isxdigit((unsigned char)digits[0]) && isxdigit((unsigned char)digits[1]);
    char decoded = coded ? (char)strtoul(digits, NULL, 16) : '\0';
    if (decoded == '/')
      decoded = '\0';
    *out = decoded ? decoded : *in;
    in += decoded ? 3 : 1;
  }
  *out = '\0';
  return (size_t)(out - text);
}

/* libmicrohttpd waits for news on the socket, and a client that closed its side before the answer
 * gives none any more: hang up on it now rather than after the idle time, once its requests that
 * were read have their answers. */
static void close_if_left(const struct connection *connection) {
  char byte;
  if (connection->requests == connection->intake.heads &&
      recv(connection->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
    shutdown(connection->socket, SHUT_RDWR);
}

void handler_completed(void *context, struct MHD_Connection *mhd, void **state,
                       enum MHD_RequestTerminationCode code) {
  struct listener *listener = context;
  struct exchange *exchange = *state;
  (void)mhd;
  if (!exchange)
    return;
  if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK && exchange->stage != STAGE_ABORTED &&
      !exchange->stream.broken)
    exchange->client_gone = true;
  if (exchange->streams)
    exchange->bytes_out = exchange->stream.total;
  if (exchange->request)
    exchange->cancel(exchange->request, EXCHANGE_CLIENT_GONE);
  listener->options.finished(listener->options.context, exchange);
  struct connection *connection = exchange->connection;
  connection->exchange = NULL;
  connection->intake.answered++;
  connection_enter(connection, CONNECTION_WAITING, listener->options.limits.idle_time);
  close_if_left(connection);
  listener->exchange_count--;
  reply_free(&exchange->reply);
  text_free(&exchange->body);
  stream_free(&exchange->stream);
  free(exchange);
  *state = NULL;
}
