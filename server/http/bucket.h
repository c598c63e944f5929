/* How much of what it may use in a second somebody has used: a token bucket.
 *
 * It holds one second's worth, and fills at that rate. What is known only once it is used may take
 * more than there is; then nothing is to be had until the debt is paid. All 0 is a full one. The
 * moments are those of one clock that never goes back, in nanoseconds. */
#ifndef HTTP_BUCKET_H
#define HTTP_BUCKET_H

#include <stdint.h>

struct bucket {
  double used; /* of what it holds; more where there is debt */
  uint64_t at; /* when that was so */
};

/** What is left, below 0 where there is debt; `rate` a second, above 0. */
double bucket_left(const struct bucket *bucket, double rate, uint64_t now);

/** Takes an amount out. */
void bucket_take(struct bucket *bucket, double rate, double amount, uint64_t now);

/** Whole seconds, rounded up, until so much is left; 0 where it is. */
unsigned bucket_wait(const struct bucket *bucket, double rate, double amount, uint64_t now);

#endif
