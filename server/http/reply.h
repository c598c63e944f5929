/* An answer before it is sent, and the problem documents (RFC 9457) that report errors. */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

#define REPLY_HEADERS_MAX 24

/* X(NAME, status, type, title): the type, a URN, is stable; clients may switch on it. */
#define PROBLEM_MAP(X)                                                                             \
  X(BAD_REQUEST, 400, "bad-request", "The request is malformed")                                   \
  X(BAD_PARAMETER, 400, "bad-parameter",                                                           \
    "A query parameter or header has a value that is not allowed")                                 \
  X(BAD_BODY, 400, "bad-body", "The body is not what its content type says")                       \
  X(UNAUTHORIZED, 401, "unauthorized", "An API key is needed")                                     \
  X(NOT_FOUND, 404, "not-found", "There is nothing at this address")                               \
  X(UNKNOWN_MODEL, 404, "unknown-model", "No model of this name is served")                        \
  X(METHOD_NOT_ALLOWED, 405, "method-not-allowed", "The method is not allowed here")               \
  X(NOT_ACCEPTABLE, 406, "not-acceptable", "The answer has no form that Accept allows")            \
  X(REQUEST_TIMEOUT, 408, "request-timeout", "The request did not arrive in time")                 \
  X(LENGTH_REQUIRED, 411, "length-required", "A body with Content-Length or chunks is needed")     \
  X(OTHER_MODEL, 409, "other-model", "The tokens are of another model")                            \
  X(BODY_TOO_LARGE, 413, "body-too-large", "The body is larger than allowed")                      \
  X(UNSUPPORTED_MEDIA_TYPE, 415, "unsupported-media-type",                                         \
    "Bodies of this content type are not read here")                                               \
  X(TARGET_TOO_LONG, 414, "target-too-long", "The address asked for is too long")                  \
  X(BAD_IMAGE, 422, "bad-image", "A picture cannot be decoded")                                    \
  X(IMAGE_TOO_LARGE, 422, "image-too-large", "A picture has more pixels than allowed")             \
  X(BAD_TOKENS, 422, "bad-tokens", "Tokens are out of range or of the wrong shape")                \
  X(QUEUE_FULL, 429, "queue-full", "The server has all the work it takes on; try again later")     \
  X(RATE_LIMITED, 429, "rate-limited", "The key has had what it may ask for in a second")          \
  X(HEADERS_TOO_LARGE, 431, "headers-too-large", "The headers are larger than allowed")            \
  X(INTERNAL, 500, "internal", "The server failed")                                                \
  X(OUT_OF_MEMORY, 503, "out-of-memory", "The server is short of memory; try again later")         \
  X(DRAINING, 503, "draining", "The server is shutting down")                                      \
  X(TOO_MANY_CONNECTIONS, 503, "too-many-connections",                                             \
    "The server has all the connections it takes")                                                 \
  X(VERSION_NOT_SUPPORTED, 505, "version-not-supported", "This version of HTTP is not spoken")     \
  X(DEADLINE, 504, "deadline-exceeded", "The deadline passed before the work was done")

enum problem {
#define PROBLEM_ENUM(name, status, type, title) PROBLEM_##name,
  PROBLEM_MAP(PROBLEM_ENUM)
#undef PROBLEM_ENUM
};

#define PROBLEM_TYPE_PREFIX "urn:vqct:problem:"

struct reply_header {
  const char *name; /* a literal */
  char *value;
};

struct reply {
  unsigned status;
  const char *type;    /* content type, a literal; NULL: no body */
  const char *problem; /* the last part of its problem's type, a literal; NULL: it is none */
  const char *coding;  /* content coding that the body has, a literal; NULL: none */
  struct text body;
  const void *fixed; /* a body that is not the reply's, instead of `body` */
  size_t fixed_size;
  void (*release)(void *held); /* called when `fixed` is not needed any more; NULL: it lives on */
  void *held;
  struct reply_header headers[REPLY_HEADERS_MAX];
  size_t header_count;
  bool varies;       /* with Accept-Encoding */
  bool error_member; /* problems are {"error": SENTENCE} and no problem documents */
  bool close;        /* the connection must not be used again */
};

/** Adds a header; what memory or REPLY_HEADERS_MAX has no room for is dropped. */
void reply_header(struct reply *reply, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Whether the reply has a header, named as it was added. */
bool reply_has_header(const struct reply *reply, const char *name);

/** Makes the reply a problem document (or its sentence, see error_member) with a detail sentence,
 * in place of what it held but for its headers. */
void reply_problem(struct reply *reply, enum problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Writes {"type", "title", "status", "detail"} of a problem; returns the status. */
unsigned problem_write(struct text *text, enum problem problem, const char *detail);

/** Says by ETag which state of its resource the answer has, `tag` of letters and digits; where
 * If-None-Match (`known`, or NULL) names that, the reply is a 304 without a body, and true. */
bool reply_not_modified(struct reply *reply, const char *tag, const char *known);

/** The same, with a hash of the body, which the reply has by then, as the tag. Clients and caches
 * are told to ask again each time. */
bool reply_body_not_modified(struct reply *reply, const char *known);

/** Moves status, type and body of a reply into another, and its headers behind those that are
 * there.
 */
void reply_move(struct reply *from, struct reply *to);

/** Lets go of `fixed`. */
void reply_drop_fixed(struct reply *reply);

/** Frees what the reply holds and clears it. */
void reply_free(struct reply *reply);

#endif
