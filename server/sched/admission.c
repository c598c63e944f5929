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

static enum refusal check(const struct admission *admission, const struct reservation *reserved,
                          const struct reservation *more) {
  const struct reservation *held = &admission->held, *limit = &admission->limit;
  bool alone = held->images == reserved->images && held->bytes == reserved->bytes &&
               held->pixels == reserved->pixels;
  if (alone)
    return REFUSAL_NONE;
  if (more->images > limit->images || held->images > limit->images - more->images)
    return REFUSAL_IMAGES;
  if (more->bytes > limit->bytes || held->bytes > limit->bytes - more->bytes)
    return REFUSAL_BYTES;
  if (more->pixels > limit->pixels || held->pixels > limit->pixels - more->pixels)
    return REFUSAL_PIXELS;
  return REFUSAL_NONE;
}

enum refusal admission_reserve(struct admission *admission, struct reservation *reserved,
                               struct reservation more) {
  pthread_mutex_lock(&admission->lock);
  enum refusal refusal = check(admission, reserved, &more);
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
