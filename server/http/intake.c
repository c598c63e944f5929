/* One buffer a connection: bytes come in at its end, are checked in its middle and taken from its
 * front, so that what libmicrohttpd gets has been checked in the very place that it reads. */
#undef _FORTIFY_SOURCE /* whose recv() is inline: it could not be defined here */
#include "intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <gnutls/gnutls.h>

#define READ_BYTES        8192 /* at a time, of what is not a body */
#define CHUNK_LINE_MAX    256
#define TRAILER_BYTES_MAX 8192

/* No client can ask for this target (head.c). */
static const char refused_head[] = "POST ! HTTP/1.1\r\nHost: !\r\n"
                                   "Content-Length: 9223372036854775807\r\n\r\n";
static const char refused_chunk[] = "7fffffffffffffff\r\n!";

/* ---- what has been read ---------------------------------------------------------------------- */

static char *unchecked(struct intake *intake, size_t *size) {
  *size = intake->raw.size - intake->checked;
  return intake->raw.data ? intake->raw.data + intake->checked : NULL;
}

/* Takes bytes that are not checked out of the middle. */
static void cut(struct intake *intake, size_t at, size_t size) {
  char *data = intake->raw.data + at;
  memmove(data, data + size, intake->raw.size - at - size);
  intake->raw.size -= size;
}

static void pass(struct intake *intake, size_t size) {
  intake->checked += size;
  intake->looked = intake->checked;
}

/* What is not checked yet gives way to what makes the handler answer. */
static void refuse(struct intake *intake, struct head_fault fault) {
  bool in_body = intake->state != INTAKE_HEAD;
  intake->raw.size = intake->checked;
  if (intake->state == INTAKE_CHUNK_END)
    text_add(&intake->raw, "\r\n", 2);
  text_add(&intake->raw, in_body ? refused_chunk : refused_head,
           in_body ? sizeof refused_chunk - 1 : sizeof refused_head - 1);
  pass(intake, intake->raw.size - intake->checked);
  intake->heads += !in_body;
  intake->fault = fault;
  intake->state = INTAKE_REFUSED;
  intake->left = UINT64_MAX;
}

/* The size of all up to the end of the next empty line, 0 where that has not come; or, for one
 * line, up to its end. */
static size_t find_end(struct intake *intake, bool one_line) {
  size_t size;
  const char *data = unchecked(intake, &size), *end;
  while (
      (end = memchr(intake->raw.data + intake->looked, '\n', intake->raw.size - intake->looked))) {
    intake->looked = (size_t)(end + 1 - intake->raw.data);
    size_t line_end = (size_t)(end - data);
    line_end -= line_end && data[line_end - 1] == '\r';
    if (one_line || !line_end || data[line_end - 1] == '\n')
      return (size_t)(end + 1 - data);
  }
  intake->looked = intake->raw.size;
  return 0;
}

/* ---- checking -------------------------------------------------------------------------------- */

/* Empty lines before a request are passed over (RFC 9112, section 2.2). */
static void skip_empty_lines(struct intake *intake) {
  size_t size, empty = 0;
  const char *data = unchecked(intake, &size);
  while (empty + 1 < size && data[empty] == '\r' && data[empty + 1] == '\n')
    empty += 2;
  if (!empty)
    return;
  cut(intake, intake->checked, empty);
  intake->looked = intake->checked;
}

static bool check_request(struct intake *intake) {
  size_t size;
  skip_empty_lines(intake);
  char *data = unchecked(intake, &size);
  size_t whole = find_end(intake, false), plain = whole;
  if (!whole && size <= HEAD_BYTES_MAX)
    return false;
  struct head_fault fault = {PROBLEM_HEADERS_TOO_LARGE, "32,768 bytes are allowed"};
  uint64_t length = 0;
  if (!whole && !memchr(data, '\n', size))
    fault = (struct head_fault){PROBLEM_TARGET_TOO_LONG, "the first line does not end"};
  else if (whole)
    fault = head_check(data, &plain, &length);
  if (fault.detail) {
    refuse(intake, fault);
    return true;
  }
  cut(intake, intake->checked + plain, whole - plain);
  pass(intake, plain);
  intake->heads++;
  intake->left = length;
  if (length == HEAD_CHUNKED)
    intake->state = INTAKE_CHUNK_SIZE;
  else if (length != HEAD_NO_BODY && length > 0)
    intake->state = INTAKE_BODY;
  return true;
}

/* The last chunk and the trailer are taken together, and the trailer's fields left out, so that a
 * fault in them can still be told as one of the body. */
static bool check_last_chunk(struct intake *intake, size_t line) {
  size_t size;
  const char *data = unchecked(intake, &size);
  intake->looked = intake->checked + line;
  size_t whole = line;
  for (const char *end; (end = memchr(data + whole, '\n', size - whole));) {
    size_t begin = whole;
    whole = (size_t)(end + 1 - data);
    if (whole - begin <= 2) {
      struct head_fault fault = head_check_trailer(data + line, whole - line);
      if (fault.detail) {
        refuse(intake, fault);
        return true;
      }
      cut(intake, intake->checked + line, whole - line - 2);
      pass(intake, line + 2);
      intake->state = INTAKE_HEAD;
      return true;
    }
  }
  if (size <= TRAILER_BYTES_MAX)
    return false;
  refuse(intake, (struct head_fault){PROBLEM_HEADERS_TOO_LARGE, "the trailer is too long"});
  return true;
}

static bool check_chunk_size(struct intake *intake) {
  size_t size;
  const char *data = unchecked(intake, &size);
  intake->looked = intake->checked;
  size_t line = find_end(intake, true);
  if (!line && size <= CHUNK_LINE_MAX)
    return false;
  struct head_fault fault = {PROBLEM_BAD_REQUEST, "the line before a chunk is too long"};
  if (line && line <= CHUNK_LINE_MAX)
    fault = head_check_chunk(data, line, &intake->left);
  if (fault.detail) {
    refuse(intake, fault);
    return true;
  }
  if (!intake->left)
    return check_last_chunk(intake, line);
  pass(intake, line);
  intake->state = INTAKE_CHUNK_DATA;
  return true;
}

static bool check_chunk_end(struct intake *intake) {
  size_t size;
  const char *data = unchecked(intake, &size);
  if (data[0] != '\r' || (size > 1 && data[1] != '\n')) {
    refuse(intake, (struct head_fault){PROBLEM_BAD_REQUEST, "a chunk is longer than its size"});
    return true;
  }
  if (size < 2)
    return false;
  pass(intake, 2);
  intake->state = INTAKE_CHUNK_SIZE;
  return true;
}

static void took_body(struct intake *intake, size_t size) {
  intake->left -= size;
  if (!intake->left)
    intake->state = intake->state == INTAKE_BODY ? INTAKE_HEAD : INTAKE_CHUNK_END;
}

static bool is_body(const struct intake *intake) {
  return intake->state == INTAKE_BODY || intake->state == INTAKE_CHUNK_DATA ||
         intake->state == INTAKE_REFUSED;
}

static bool check_body(struct intake *intake) {
  size_t size;
  unchecked(intake, &size);
  size_t part = intake->left < size ? (size_t)intake->left : size;
  pass(intake, part);
  took_body(intake, part);
  return true;
}

/* Checks as much as there is. */
static void check(struct intake *intake) {
  bool on = true;
  while (on && intake->checked < intake->raw.size && !intake->raw.failed)
    switch (intake->state) {
    case INTAKE_HEAD:
      on = check_request(intake);
      break;
    case INTAKE_CHUNK_SIZE:
      on = check_chunk_size(intake);
      break;
    case INTAKE_CHUNK_END:
      on = check_chunk_end(intake);
      break;
    case INTAKE_BODY:
    case INTAKE_CHUNK_DATA:
    case INTAKE_REFUSED:
      on = check_body(intake);
      break;
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Reads from a socket or a TLS session; less than 1 as they do. */
typedef ssize_t intake_source(void *source, void *buffer, size_t size);

static size_t give(struct intake *intake, char *buffer, size_t size) {
  size_t rest = intake->checked - intake->given, part = rest < size ? rest : size;
  if (part)
    memcpy(buffer, intake->raw.data + intake->given, part);
  intake->given += part;
  if (intake->given == intake->raw.size) {
    text_free(&intake->raw);
    intake->given = intake->checked = intake->looked = 0;
  }
  return part;
}

/* Reads more behind what there is; the source's answer. */
static ssize_t fill(struct intake *intake, intake_source *read, void *source) {
  struct text *raw = &intake->raw;
  if (intake->given) {
    cut(intake, 0, intake->given);
    intake->checked -= intake->given;
    intake->looked -= intake->given;
    intake->given = 0;
  }
  if (!text_reserve(raw, READ_BYTES))
    return 0; /* as if the client had left */
  ssize_t came = read(source, raw->data + raw->size, READ_BYTES);
  if (came > 0)
    raw->size += (size_t)came;
  return came;
}

/* As the source, but for checked bytes; `records`: the source gives a record at a time. Once it has
 * given less than asked for libmicrohttpd waits for news of the socket, so it must have all. */
static ssize_t intake_read(struct intake *intake, char *buffer, size_t size, bool records,
                           intake_source *read, void *source) {
  size_t filled = 0;
  ssize_t came;
  for (;;) {
    filled += give(intake, buffer + filled, size - filled);
    if (filled == size || (filled && records))
      return (ssize_t)filled;
    size_t asked = READ_BYTES;
    if (!intake->raw.size && is_body(intake)) {
      asked = intake->left < size - filled ? (size_t)intake->left : size - filled;
      came = read(source, buffer + filled, asked);
      if (came > 0) {
        filled += (size_t)came;
        took_body(intake, (size_t)came);
      }
    } else {
      came = fill(intake, read, source);
      int fault = errno; /* which freeing memory may set */
      check(intake);
      filled += give(intake, buffer + filled, size - filled);
      errno = fault;
    }
    if (came <= 0 || (filled && (size_t)came < asked))
      break;
  }
  if (filled || came < 0 || intake->state != INTAKE_HEAD || intake->answered == intake->heads)
    return filled ? (ssize_t)filled : came;
  errno = EAGAIN;
  return records ? GNUTLS_E_AGAIN : -1;
}

/* ---- in place of the system's ---------------------------------------------------------------- */

struct place {
  struct intake *intake; /* NULL: the socket is none of ours */
  bool tls;
};

/* By socket, of the thread that runs the connections: libmicrohttpd tells these functions no more.
 */
static _Thread_local struct place *places;
static _Thread_local size_t place_count;

static struct intake *find(int socket, bool tls) {
  bool known = socket >= 0 && (size_t)socket < place_count;
  return known && places[socket].tls == tls ? places[socket].intake : NULL;
}

bool intake_begin(struct intake *intake, int socket, bool tls) {
  if ((size_t)socket >= place_count) {
    size_t count = ((size_t)socket + 1) * 2;
    struct place *grown = realloc(places, count * sizeof *grown);
    if (!grown)
      return false;
    memset(grown + place_count, 0, (count - place_count) * sizeof *grown);
    places = grown;
    place_count = count;
  }
  *intake = (struct intake){0};
  places[socket] = (struct place){intake, tls};
  return true;
}

void intake_end(struct intake *intake, int socket) {
  if ((size_t)socket < place_count && places[socket].intake == intake)
    places[socket].intake = NULL;
  text_free(&intake->raw);
}

bool intake_holds(const struct intake *intake) {
  return intake->raw.size > 0;
}

struct plain {
  int socket, flags;
};

static ssize_t read_plain(void *source, void *buffer, size_t size) {
  const struct plain *plain = source;
  return recvfrom(plain->socket, buffer, size, plain->flags, NULL, NULL);
}

static ssize_t read_session(void *source, void *buffer, size_t size) {
  return gnutls_record_recv_seq(source, buffer, size, NULL);
}

ssize_t recv(int socket, void *buffer, size_t size, int flags) {
  struct plain plain = {socket, flags};
  struct intake *intake = flags & MSG_PEEK ? NULL : find(socket, false);
  if (!intake)
    return read_plain(&plain, buffer, size);
  return intake_read(intake, buffer, size, false, read_plain, &plain);
}

ssize_t gnutls_record_recv(gnutls_session_t session, void *buffer, size_t size) {
  struct intake *intake = find(gnutls_transport_get_int(session), true);
  if (!intake)
    return read_session(session, buffer, size);
  return intake_read(intake, buffer, size, true, read_session, session);
}
