#include "bucket.h"

#include <limits.h>
#include <math.h>

static double used_now(const struct bucket *bucket, double rate, uint64_t now) {
  double filled = rate * (double)(now - bucket->at) * 1e-9;
  return bucket->used > filled ? bucket->used - filled : 0;
}

double bucket_left(const struct bucket *bucket, double rate, uint64_t now) {
  return rate - used_now(bucket, rate, now);
}

void bucket_take(struct bucket *bucket, double rate, double amount, uint64_t now) {
  bucket->used = used_now(bucket, rate, now) + amount;
  bucket->at = now;
}

unsigned bucket_wait(const struct bucket *bucket, double rate, double amount, uint64_t now) {
  double missing = amount - bucket_left(bucket, rate, now);
  double seconds = missing > 0 ? ceil(missing / rate) : 0;
  return seconds < INT_MAX ? (unsigned)seconds : INT_MAX;
}
