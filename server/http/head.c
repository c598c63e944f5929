/* Lines are checked and counted one after the other, and what stays of each is written back at
 * once; how the counts fit together is judged when all are known. The first fault ends it. */
#define _GNU_SOURCE /* memrchr */
#include "head.h"

#include <string.h>
#include <strings.h>

#define PARAMETERS_MAX   512 /* in a target */
#define TARGET_BYTES_MAX (HEAD_BYTES_MAX / 2)
#define VALUE_BYTES      72 /* that libmicrohttpd keeps beside a value's text, rounded up */

/* Text within a line. */
struct piece {
  const char *data;
  size_t size;
};

struct header {
  struct piece name, value;
};

/* What a head has had so far. */
struct census {
  size_t bytes;
  unsigned hosts, lengths, encodings;
  uint64_t length;
  bool old; /* HTTP/1.0 */
};

static const struct head_fault sound = {0};

static struct head_fault malformed(const char *detail) {
  return (struct head_fault){PROBLEM_BAD_REQUEST, detail};
}

/* ---- characters ------------------------------------------------------------------------------ */

static bool is_token(struct piece piece) {
  static const char others[] = "!#$%&'*+-.^_`|~";
  for (size_t i = 0; i < piece.size; i++) {
    char c = piece.data[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && (c == '\0' || !strchr(others, c)))
      return false;
  }
  return piece.size > 0;
}

static bool is_control(char c) {
  return (unsigned char)c < ' ' || c == 0x7f;
}

static bool holds(struct piece piece, const char *characters) {
  for (size_t i = 0; i < piece.size; i++)
    if (piece.data[i] && strchr(characters, piece.data[i]))
      return true;
  return false;
}

static bool equals(struct piece piece, const char *text) {
  return piece.size == strlen(text) && !strncasecmp(piece.data, text, piece.size);
}

static bool begins(struct piece piece, const char *text) {
  return piece.size >= strlen(text) && !strncasecmp(piece.data, text, strlen(text));
}

static struct piece trim(struct piece piece) {
  while (piece.size && (*piece.data == ' ' || *piece.data == '\t')) {
    piece.data++;
    piece.size--;
  }
  while (piece.size && (piece.data[piece.size - 1] == ' ' || piece.data[piece.size - 1] == '\t'))
    piece.size--;
  return piece;
}

/* Takes the next line off `rest`, without its end. There is always one. */
static struct head_fault next_line(struct piece *rest, struct piece *line) {
  const char *end = memchr(rest->data, '\n', rest->size);
  size_t size = (size_t)(end - rest->data);
  if (!size || end[-1] != '\r')
    return malformed("a line ends without a carriage return");
  *line = (struct piece){rest->data, size - 1};
  *rest = (struct piece){end + 1, rest->size - size - 1};
  return sound;
}

/* ---- the first line -------------------------------------------------------------------------- */

static struct head_fault check_version(struct piece version, bool *old) {
  if (version.size != 8 || memcmp(version.data, "HTTP/", 5) || version.data[6] != '.' ||
      version.data[5] < '0' || version.data[5] > '9' || version.data[7] < '0' ||
      version.data[7] > '9')
    return malformed("the first line does not end in a version of HTTP");
  *old = version.data[7] == '0';
  if (version.data[5] != '1')
    return (struct head_fault){PROBLEM_VERSION_NOT_SUPPORTED, "it is 1.1 or 1.0 here"};
  return sound;
}

static struct head_fault check_target(struct piece method, struct piece target,
                                      struct census *census) {
  size_t parameters = 1;
  for (size_t i = 0; i < target.size; i++) {
    if (target.data[i] == ' ' || is_control(target.data[i]))
      return malformed("the address asked for holds blanks or control characters");
    parameters += target.data[i] == '&';
  }
  if (parameters > PARAMETERS_MAX)
    return (struct head_fault){PROBLEM_TARGET_TOO_LONG, "it has too many parameters"};
  if (target.size > TARGET_BYTES_MAX)
    return (struct head_fault){PROBLEM_TARGET_TOO_LONG, "16,384 bytes are allowed"};
  bool whole = equals(target, "*") && equals(method, "OPTIONS");
  if (!whole && !begins(target, "/") && !begins(target, "http://") && !begins(target, "https://"))
    return malformed("the address asked for is no path");
  census->bytes += parameters * VALUE_BYTES;
  return sound;
}

static struct head_fault check_first_line(struct piece line, struct census *census) {
  const char *blank = memchr(line.data, ' ', line.size);
  const char *last = memrchr(line.data, ' ', line.size);
  if (!blank || blank == last)
    return malformed("the first line is not a method, an address and a version");
  struct piece method = {line.data, (size_t)(blank - line.data)};
  struct piece target = {blank + 1, (size_t)(last - blank - 1)};
  struct piece version = {last + 1, (size_t)(line.data + line.size - last - 1)};
  if (!is_token(method))
    return malformed("the method holds characters that are not allowed");
  struct head_fault fault = check_version(version, &census->old);
  return fault.detail ? fault : check_target(method, target, census);
}

/* ---- headers --------------------------------------------------------------------------------- */

static struct head_fault check_value(struct piece value) {
  for (size_t i = 0; i < value.size; i++) {
    char c = value.data[i];
    if (c == '\0')
      return malformed("a header's value holds a zero byte");
    if (c == '\r')
      return malformed("a header's value holds a bare line break");
    if (c != '\t' && is_control(c))
      return malformed("a header's value holds control characters");
  }
  return sound;
}

static struct head_fault split_header(struct piece line, struct header *header) {
  if (*line.data == ' ' || *line.data == '\t')
    return malformed("a header is folded over two lines");
  const char *colon = memchr(line.data, ':', line.size);
  if (!colon)
    return malformed("a header has no colon");
  header->name = (struct piece){line.data, (size_t)(colon - line.data)};
  header->value = trim((struct piece){colon + 1, line.size - header->name.size - 1});
  if (!is_token(header->name))
    return malformed("a header's name holds characters that are not allowed");
  return check_value(header->value);
}

static struct head_fault read_length(struct piece text, uint64_t *length) {
  *length = 0;
  if (!text.size)
    return malformed("Content-Length is not a number");
  for (size_t i = 0; i < text.size; i++)
    if (text.data[i] < '0' || text.data[i] > '9')
      return malformed("Content-Length is not a number");
  for (size_t i = 0; i < text.size; i++) {
    if (*length > (uint64_t)INT64_MAX / 10 - 1)
      return (struct head_fault){PROBLEM_BODY_TOO_LARGE, "no server has room for so many bytes"};
    *length = 10 * *length + (uint64_t)(text.data[i] - '0');
  }
  return sound;
}

static struct head_fault count_header(const struct header *header, struct census *census) {
  census->bytes += VALUE_BYTES;
  if (equals(header->name, "Host")) {
    census->hosts++;
    if (holds(header->value, " \t/?#@\\"))
      return malformed("Host is not a host and a port");
  } else if (equals(header->name, "Content-Length")) {
    census->lengths++;
    return read_length(header->value, &census->length);
  } else if (equals(header->name, "Transfer-Encoding")) {
    census->encodings++;
    if (!equals(header->value, "chunked"))
      return malformed("no Transfer-Encoding but chunked is read");
  }
  return sound;
}

/* The result never lies behind what is still to be read, so it may be written over the head. */
static char *write_header(char *out, const struct header *header) {
  memmove(out, header->name.data, header->name.size);
  out += header->name.size;
  *out++ = ':';
  memmove(out, header->value.data, header->value.size);
  out += header->value.size;
  *out++ = '\r';
  *out++ = '\n';
  return out;
}

/* What two parsers may read in two ways (RFC 9112, section 11.2) is refused. */
static struct head_fault check_framing(const struct census *census, uint64_t *length) {
  if (census->hosts > 1 || (!census->hosts && !census->old))
    return malformed("exactly one Host header is needed");
  if (census->lengths && census->encodings)
    return malformed("Content-Length and Transfer-Encoding exclude each other");
  if (census->lengths > 1 || census->encodings > 1)
    return malformed("Content-Length and Transfer-Encoding may be given once");
  if (census->encodings && census->old)
    return malformed("HTTP/1.0 has no Transfer-Encoding");
  *length = census->encodings ? HEAD_CHUNKED : census->lengths ? census->length : HEAD_NO_BODY;
  return sound;
}

/* ---- the whole ------------------------------------------------------------------------------- */

struct head_fault head_check(char *data, size_t *size, uint64_t *length) {
  struct piece rest = {data, *size}, line;
  struct census census = {.bytes = *size};
  struct head_fault fault = next_line(&rest, &line);
  if (!fault.detail)
    fault = check_first_line(line, &census);
  char *out = data + (*size - rest.size), *expect = NULL, *expect_end = NULL;
  while (!fault.detail && !(fault = next_line(&rest, &line)).detail && line.size) {
    struct header header;
    fault = split_header(line, &header);
    if (!fault.detail)
      fault = count_header(&header, &census);
    bool expects = !fault.detail && equals(header.name, "Expect");
    if (fault.detail || equals(header.name, "Cookie") || (expects && expect))
      continue;
    char *end = write_header(out, &header);
    if (expects)
      expect = out, expect_end = end;
    out = end;
  }
  if (!fault.detail && census.bytes > HEAD_BYTES_MAX)
    fault = (struct head_fault){PROBLEM_HEADERS_TOO_LARGE, "32,768 bytes are allowed"};
  if (!fault.detail)
    fault = check_framing(&census, length);
  if (fault.detail)
    return fault;
  if (expect && (*length == HEAD_NO_BODY || census.old)) {
    memmove(expect, expect_end, (size_t)(out - expect_end));
    out -= expect_end - expect;
  }
  memcpy(out, "\r\n", 2);
  *size = (size_t)(out + 2 - data);
  return sound;
}

struct head_fault head_check_chunk(const char *text, size_t size, uint64_t *length) {
  struct piece rest = {text, size}, line;
  struct head_fault fault = next_line(&rest, &line);
  if (fault.detail)
    return fault;
  size_t digits = 0;
  *length = 0;
  for (; digits < line.size && digits < 16; digits++) {
    char c = line.data[digits];
    bool decimal = c >= '0' && c <= '9', lower = c >= 'a' && c <= 'f', upper = c >= 'A' && c <= 'F';
    if (!decimal && !lower && !upper)
      break;
    *length = *length << 4 | (uint64_t)(decimal ? c - '0' : lower ? c - 'a' + 10 : c - 'A' + 10);
  }
  struct piece extension = trim((struct piece){line.data + digits, line.size - digits});
  if (!digits || *length > INT64_MAX || (extension.size && *extension.data != ';') ||
      check_value(extension).detail)
    return malformed("the size of a chunk is not a number");
  return sound;
}

struct head_fault head_check_trailer(const char *data, size_t size) {
  struct piece rest = {data, size}, line;
  struct head_fault fault;
  struct header header;
  while (!(fault = next_line(&rest, &line)).detail && line.size) {
    fault = split_header(line, &header);
    if (fault.detail)
      break;
  }
  return fault;
}
