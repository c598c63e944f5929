/* What the server has taken on, and the bounds that it keeps.
 *
 * A request reserves an image slot and its body's bytes before its body is read, more slots when it
 * turns out to hold several pictures, and their pixels before they are decoded; it gives everything
 * back when it is answered. Whatever would pass a bound is refused at once and counted. What is
 * less urgent meets lower bounds (admission_limit), so that it is refused first and a server that
 * has all of it that it takes has room for the rest. Any thread may call. A server that holds
 * nothing admits whatever the limits of one request allow. */
#ifndef SCHED_ADMISSION_H
#define SCHED_ADMISSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reservation {
  size_t images;
  uint64_t bytes, pixels;
};

struct admission {
  struct reservation limit; /* constant after admission_init */
  pthread_mutex_t lock;     /* guards held */
  struct reservation held;
};

enum refusal { REFUSAL_NONE, REFUSAL_IMAGES, REFUSAL_BYTES, REFUSAL_PIXELS, REFUSALS };

/** "images", "bytes" or "pixels": which bound refused. */
const char *refusal_name(enum refusal refusal);

void admission_init(struct admission *admission, const struct reservation *limit);

/** The bounds up to which requests of a class (less than JOB_CLASSES, 0 the most urgent) are taken
 * on: all of them to ADMISSION_FULL, then an eighth less for each. */
#define ADMISSION_FULL 3
struct reservation admission_limit(const struct admission *admission, unsigned urgency);

/** Adds `more` to what a request of a class has reserved, or leaves both unchanged and names the
 * bound. */
enum refusal admission_reserve(struct admission *admission, unsigned urgency,
                               struct reservation *reserved, struct reservation more);

/** Gives back part of a reservation. */
void admission_return(struct admission *admission, struct reservation *reserved,
                      struct reservation less);

/** What all requests together hold now. */
struct reservation admission_held(struct admission *admission);

#endif
