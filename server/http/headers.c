#include "headers.h"

#include <string.h>
#include <strings.h>

#include <microhttpd.h>

/* Later versions of libmicrohttpd refuse folded lines themselves. */
#define FOLDS_UNTIL 0x00097700

struct census {
  unsigned hosts, lengths, encodings;
  const char *length, *encoding;
  uint64_t bytes;
  const char *fault;
};

/* What one value takes of a connection's memory beside its text, rounded up. */
#define VALUE_BYTES 72

static bool is_token(const char *name, size_t size) {
  static const char others[] = "!#$%&'*+-.^_`|~";
  for (size_t i = 0; i < size; i++) {
    char c = name[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && (c == '\0' || !strchr(others, c)))
      return false;
  }
  return size > 0;
}

/* libmicrohttpd joins a folded line to the one before in a copy elsewhere; any other value stands
 * in the read buffer right behind its name, colon (by then a zero byte) and blanks. */
static bool is_folded(const char *name, size_t name_size, const char *value) {
  const char *at = name + name_size + 1;
  while (*at == ' ' || *at == '\t')
    at++;
  return at != value;
}

static enum MHD_Result take(void *context, enum MHD_ValueKind kind, const char *name,
                            size_t name_size, const char *value, size_t value_size) {
  struct census *census = context;
  census->bytes += name_size + value_size + VALUE_BYTES;
  if (kind != MHD_HEADER_KIND)
    return MHD_YES;
  if (!is_token(name, name_size))
    census->fault = "a header's name holds characters that are not allowed";
  else if (!value || strlen(value) != value_size)
    census->fault = "a header's value holds a zero byte";
  else if (MHD_VERSION < FOLDS_UNTIL && is_folded(name, name_size, value))
    census->fault = "a header is folded over two lines";
  else if (strpbrk(value, "\r\n"))
    census->fault = "a header's value holds a bare line break";
  else if (!strcasecmp(name, "Host") && strpbrk(value, " \t/?#@\\"))
    census->fault = "Host is not a host and a port";
  if (census->fault)
    return MHD_NO;
  if (!strcasecmp(name, "Host"))
    census->hosts++;
  if (!strcasecmp(name, "Content-Length")) {
    census->lengths++;
    census->length = value;
  }
  if (!strcasecmp(name, "Transfer-Encoding")) {
    census->encodings++;
    census->encoding = value;
  }
  return MHD_YES;
}

static bool parse_length(const char *text, uint64_t *length) {
  *length = 0;
  for (const char *c = text; *c; c++) {
    if (*c < '0' || *c > '9' || *length > (HEADERS_NO_BODY - 1 - 9) / 10)
      return false;
    *length = 10 * *length + (uint64_t)(*c - '0');
  }
  return *text != '\0';
}

struct headers_framing headers_check(struct MHD_Connection *connection, const char *version) {
  struct census census = {0};
  struct headers_framing framing = {.length = HEADERS_NO_BODY};
  bool old = !strcmp(version, "HTTP/1.0");
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND, take, &census);
  framing.bytes = census.bytes;
  if (census.fault)
    framing.fault = census.fault;
  else if (census.hosts > 1 || (!census.hosts && !old))
    framing.fault = "exactly one Host header is needed";
  else if (census.lengths && census.encodings)
    framing.fault = "Content-Length and Transfer-Encoding exclude each other";
  else if (census.lengths > 1 || census.encodings > 1)
    framing.fault = "Content-Length and Transfer-Encoding may be given once";
  else if (census.encodings && (old || strcasecmp(census.encoding, "chunked")))
    framing.fault = "no Transfer-Encoding but chunked is read";
  else if (census.lengths && !parse_length(census.length, &framing.length))
    framing.fault = "Content-Length is not a number";
  else if (census.encodings)
    framing.length = HEADERS_CHUNKED;
  return framing;
}
