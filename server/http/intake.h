/* What libmicrohttpd reads, checked before it does.
 *
 * It has no hook between socket and parser. But it reads plain connections by recv() and those with
 * TLS by gnutls_record_recv(), and a program's own function of that name stands before a library's:
 * intake.c defines both. For a connection that was announced here they hand on whole heads only,
 * checked and in their plainest form (head.h), and chunks whose framing is sound; for every other
 * socket and thread they do what they always do.
 *
 *   first line, headers ── HEAD ─┬─ no body ────────────────────────────────┬─ HEAD
 *                                ├─ BODY, of the declared length ───────────┤
 *                                └─ CHUNK_SIZE ─┬─ CHUNK_DATA ─ CHUNK_END ─┐│
 *                                     └─────────│──────────────────────────┘│
 *                                               └─ size 0 and trailer ──────┘
 *
 * libmicrohttpd closes at the end of what a client sends, even with requests that it has still to
 * answer. So the end is kept from it until these have their answers.
 *
 * At a fault in a head libmicrohttpd is given the head of a request that no client can make, with a
 * body without end; at one between chunks, a chunk without end. So handler.c gets to answer in the
 * order of the requests and as it answers all, and then drops what comes. */
#ifndef HTTP_INTAKE_H
#define HTTP_INTAKE_H

#include "head.h"
#include "text.h"

enum intake_state {
  INTAKE_HEAD,
  INTAKE_BODY,
  INTAKE_CHUNK_SIZE,
  INTAKE_CHUNK_DATA,
  INTAKE_CHUNK_END,
  INTAKE_REFUSED
};

struct intake {
  enum intake_state state;
  uint64_t left;     /* bytes of the body or chunk */
  uint64_t heads;    /* handed on */
  uint64_t answered; /* of these: counted by the handler */
  /* Bytes that were read: up to `given` handed on, up to `checked` to be, the rest incomplete and
   * without a line's end that matters up to `looked`. */
  struct text raw;
  size_t given, checked, looked;
  struct head_fault fault; /* of the newest head or its body; detail is NULL while all is sound */
};

/** Checks what the calling thread reads from a socket from now on; `tls` where the socket carries
 * TLS records. False where memory fails. */
bool intake_begin(struct intake *intake, int socket, bool tls);

/** Ends that and frees what was kept. */
void intake_end(struct intake *intake, int socket);

/** Whether a request has begun to come of which libmicrohttpd has got nothing yet. */
bool intake_holds(const struct intake *intake);

#endif
