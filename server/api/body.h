/* Bodies within bounds: JSON, and what is compressed. */
#ifndef API_BODY_H
#define API_BODY_H

#include <jansson.h>

#include "request.h"

/** Parses the request's body: an object, no key twice, at most `values` values, so that a small
 * body cannot take memory many times its size. NULL, and a failed request, where it is not. */
json_t *body_json(struct request *request, size_t values);

/** The same of the first `size` bytes of the body. */
json_t *body_json_part(struct request *request, size_t size, size_t values);

/** Decompresses the body in place where Content-Encoding says that it is gzip or deflate, within
 * the limit of a body and the bound on all; false, and a refused request, where it is not. Codec
 * thread.
 */
bool body_inflate(struct request *request);

#endif
