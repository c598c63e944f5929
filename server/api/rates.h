/* What each key asks for, and may ask for in a second: requests of the routes that compute, and
 * their pixels. Loop thread. */
#ifndef API_RATES_H
#define API_RATES_H

#include "service.h"

/** Counts a request of the exchange's key; false, with a 429 in the reply, where the key has had
 * all of a second's requests or pixels. */
bool rates_admit(struct service *service, struct exchange *exchange);

/** Counts pixels of it that are to be computed, which may be more than the key had left. */
void rates_count_pixels(struct service *service, const struct exchange *exchange, uint64_t pixels);

/** Says what is left in the reply's headers (draft-ietf-httpapi-ratelimit-headers-10), where that
 * is limited. */
void rates_tell(const struct service *service, const struct exchange *exchange,
                struct reply *reply);

/** The label of a key's series, `key="NAME"`; what needs escaping, or is no ASCII, becomes "_". */
struct key_label {
  char text[KEY_NAME_MAX + 8];
};
struct key_label rates_key_label(const struct exchange *exchange);

#endif
