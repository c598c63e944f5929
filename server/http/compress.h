/* Answers as gzip (RFC 1952), for who accepts that. */
#ifndef HTTP_COMPRESS_H
#define HTTP_COMPRESS_H

#include "reply.h"

/** Whether an Accept-Encoding header (RFC 9110, section 12.5.3) likes gzip at least as much as no
 * coding; NULL does not ask for it. */
bool compress_accepted(const char *accept_encoding);

/** Whether the reply's body is of a type that gzip makes smaller, and neither coded nor so short
 * that it is not worth it. */
bool compress_worthwhile(const struct reply *reply);

/** Replaces the body by its gzip form; leaves it as it is where memory fails or that is no smaller.
 * For a body that compress_worthwhile names. Any thread that has the reply. */
void compress_reply(struct reply *reply);

#endif
