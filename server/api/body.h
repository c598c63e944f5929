/* JSON bodies within bounds. */
#ifndef API_BODY_H
#define API_BODY_H

#include <jansson.h>

#include "request.h"

/** Parses the request's body: an object, no key twice, at most `values` values, so that a small
 * body cannot take memory many times its size. NULL, and a failed request, where it is not. */
json_t *body_json(struct request *request, size_t values);

#endif
