/* Checks on a request's headers that libmicrohttpd 0.9.75 leaves out. */
#ifndef HTTP_HEADERS_H
#define HTTP_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

struct MHD_Connection;

#define HEADERS_NO_BODY (UINT64_MAX - 1) /* neither Content-Length nor chunks */
#define HEADERS_CHUNKED UINT64_MAX

/** What the headers say about the body. */
struct headers_framing {
  uint64_t length;   /* bytes, or HEADERS_NO_BODY, or HEADERS_CHUNKED */
  uint64_t bytes;    /* that libmicrohttpd keeps for headers and query parameters */
  const char *fault; /* one phrase; NULL: the headers are sound */
};

/** Refuses what two parsers may read in two ways (RFC 9112, section 11.2): Content-Length together
 * with Transfer-Encoding or given twice, other encodings than chunked, folded lines, names that are
 * not tokens, embedded zero bytes, no Host or two. */
struct headers_framing headers_check(struct MHD_Connection *connection, const char *version);

#endif
