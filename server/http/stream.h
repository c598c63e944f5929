/* A body that is sent while it is made, in chunks (or, for HTTP/1.0, to the connection's end).
 *
 *   libmicrohttpd asks for more ─┬─ there is some: it is sent
 *                                ├─ the body has ended, or is broken off
 *                                └─ the connection is suspended, and resumed by what comes next
 *
 * What is added before it is asked for is kept. Loop thread. */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "port.h"
#include "text.h"

struct MHD_Connection;
struct MHD_Response;

/** A part of its exchange; all 0 is none. */
struct stream {
  struct MHD_Connection *mhd;
  struct connection *connection;
  connection_left *left; /* told when the client leaves while it waits */
  uint64_t deadline;     /* uv_hrtime(): of what it waits for */
  struct text data;      /* not sent from `sent` on */
  size_t sent;
  uint64_t total; /* bytes that were added */
  bool waits;     /* the connection is suspended */
  bool ended, broken;
};

/** The answer that sends the stream, whose first four members the caller has filled; NULL where
 * memory fails. */
struct MHD_Response *stream_response(struct stream *stream);

/** Adds to the body; where memory fails it is broken off. */
void stream_add(struct stream *stream, const void *data, size_t size);

/** Ends the body once all of it is sent. */
void stream_end(struct stream *stream);

/** Breaks it off, which the client sees by the missing end. */
void stream_break(struct stream *stream);

/** Frees what was not sent. */
void stream_free(struct stream *stream);

#endif
