/* A request's way from its body to its answer.
 *
 *   received ─ preparing ─ computing ─ rendering ─ answered
 *    (loop)     (codec)    (workers)    (codec)     (loop)
 *
 * Preparing reads the body, decodes and resizes pictures; rendering writes each picture's part of
 * the answer, then the whole. Reconstruct goes through computing twice. A cancelled request forgets
 * its exchange and is freed when all of it has come back to the loop.
 *
 * Where the answer is lines (lines.h), it begins before computing: each picture is rendered and
 * sent once it is computed, and the last of them ends the request.
 *
 * Of a request with many pictures at most as many as there are codec threads are handed over at
 * once, the next when one comes back, so that other requests' pictures come in between.
 *
 * All functions belong to the loop thread; context is the service. */
#ifndef API_STAGES_H
#define API_STAGES_H

#include "exchange.h"
#include "job.h"

/** A route's `grow`: reserves more bytes of a body whose length was not declared. */
bool request_grow(void *context, struct exchange *exchange, uint64_t bytes);

/** A route's `handle`: the body of the exchange's request is there. Suspends the exchange. */
void request_begin(void *context, struct exchange *exchange);

/** An exchange's `cancel`: nobody waits for the request any more. */
void request_cancel(void *request, enum exchange_end end);

/** Called by the workers for each job; goes on with its request. */
void request_job_done(void *context, struct job *job);

#endif
