/* A request's head and the lines between chunks, held to RFC 9112 before libmicrohttpd reads them.
 *
 * libmicrohttpd 0.9.75 takes much that two parsers may read in two ways, refuses blanks that are
 * legal, and answers what it refuses itself twice and in HTML. What passes here it always takes. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reply.h"

/** Bytes of a request's head, each header and parameter counted with what libmicrohttpd keeps
 * beside its text. */
#define HEAD_BYTES_MAX ((size_t)32 << 10)

#define HEAD_NO_BODY (UINT64_MAX - 1) /* neither Content-Length nor chunks */
#define HEAD_CHUNKED UINT64_MAX

/** Why bytes are refused. */
struct head_fault {
  enum problem problem;
  const char *detail; /* a literal; NULL: they are sound */
};

/** Checks a whole head, from its first line to the empty one, and rewrites it in place: blanks
 * around values are left out, and so are cookies, which nothing here reads, and an expectation
 * where there is no body to wait for. Sets `size` to what remains
 * and `length` to the bytes of the body, HEAD_NO_BODY or HEAD_CHUNKED. */
struct head_fault head_check(char *data, size_t *size, uint64_t *length);

/** Checks the line before a chunk, with its line end, and reads the chunk's size. */
struct head_fault head_check_chunk(const char *line, size_t size, uint64_t *length);

/** Checks the lines behind the last chunk, with the empty one. */
struct head_fault head_check_trailer(const char *data, size_t size);

#endif
