/* Three sums and one lock. A request that is all the server holds is let in whatever it asks for,
 * or one that is larger than the bounds would be refused for ever. */
#include "admission.h"

const char *refusal_name(enum refusal refusal) {
  static const char *const names[REFUSALS] = {"none", "images", "bytes", "pixels"};
  return names[refusal];
}

void admission_init(struct admission *admission, const struct reservation *limit) {
  admission->limit = *limit;
  admission->held = (struct reservation){0};
  pthread_mutex_init(&admission->lock, NULL);
}

/* A bound without so many eighths of it; at least 1, and without overflow. */
static uint64_t lower(uint64_t bound, uint64_t eighths) {
  uint64_t less = bound / 8 * eighths + bound % 8 * eighths / 8;
  return bound - less ? bound - less : 1;
}

struct reservation admission_limit(const struct admission *admission, unsigned urgency) {
  uint64_t eighths = urgency > ADMISSION_FULL ? urgency - ADMISSION_FULL : 0;
  const struct reservation *limit = &admission->limit;
  return (struct reservation){.images = (size_t)lower(limit->images, eighths),
                              .bytes = lower(limit->bytes, eighths),
                              .pixels = lower(limit->pixels, eighths)};
}

/* Whether more would pass a bound, which what is held may be beyond already. */
static bool passes(uint64_t held, uint64_t more, uint64_t limit) {
  return more && (more > limit || held > limit - more);
}

static enum refusal check(const struct admission *admission, unsigned urgency,
                          const struct reservation *reserved, const struct reservation *more) {
  const struct reservation *held = &admission->held;
  const struct reservation limit = admission_limit(admission, urgency);
  bool alone = held->images == reserved->images && held->bytes == reserved->bytes &&
               held->pixels == reserved->pixels;
  if (alone)
    return REFUSAL_NONE;
  if (passes(held->images, more->images, limit.images))
    return REFUSAL_IMAGES;
  if (passes(held->bytes, more->bytes, limit.bytes))
    return REFUSAL_BYTES;
  if (passes(held->pixels, more->pixels, limit.pixels))
    return REFUSAL_PIXELS;
  return REFUSAL_NONE;
}

enum refusal admission_reserve(struct admission *admission, unsigned urgency,
                               struct reservation *reserved, struct reservation more) {
  pthread_mutex_lock(&admission->lock);
  enum refusal refusal = check(admission, urgency, reserved, &more);
  if (refusal == REFUSAL_NONE) {
    admission->held.images += more.images;
    admission->held.bytes += more.bytes;
    admission->held.pixels += more.pixels;
    reserved->images += more.images;
    reserved->bytes += more.bytes;
    reserved->pixels += more.pixels;
  }
  pthread_mutex_unlock(&admission->lock);
  return refusal;
}

void admission_return(struct admission *admission, struct reservation *reserved,
                      struct reservation less) {
  pthread_mutex_lock(&admission->lock);
  admission->held.images -= less.images;
  admission->held.bytes -= less.bytes;
  admission->held.pixels -= less.pixels;
  reserved->images -= less.images;
  reserved->bytes -= less.bytes;
  reserved->pixels -= less.pixels;
  pthread_mutex_unlock(&admission->lock);
}

struct reservation admission_held(struct admission *admission) {
  pthread_mutex_lock(&admission->lock);
  struct reservation held = admission->held;
  pthread_mutex_unlock(&admission->lock);
  return held;
}
