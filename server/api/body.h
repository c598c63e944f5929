/* JSON bodies within bounds. */
#ifndef API_BODY_H
#define API_BODY_H

#include <jansson.h>

#include "work.h"

/** Parses the work's body: an object, no key twice, at most `values` values, so that a small body
 * cannot take memory many times its size. NULL, and a failed work, where it is not. */
json_t *body_json(struct work *work, size_t values);

#endif
