/* The last hour of the figures that the dashboard draws, of the service or of one of its models.
 * Loop thread only. */
#ifndef METRICS_READINGS_H
#define METRICS_READINGS_H

#include <stddef.h>
#include <stdint.h>

#include "registry.h"

#define HISTORY_INTERVAL 10  /* seconds between two readings, at least */
#define HISTORY_READINGS 360 /* an hour of them */

/** Requests to the routes that compute, by how they ended, since the start. */
struct request_counts {
  uint64_t succeeded, failed; /* all of them */
  uint64_t refused, faults;   /* of those that failed: 429, 5xx */
};

/** The figures at one moment; counters run from the start of the process. */
struct reading {
  uint64_t at; /* uv_hrtime() */
  uint64_t images;
  unsigned in_flight;
  size_t queue_images;
  struct request_counts requests;
  uint64_t seconds[REGISTRY_BOUNDS_MAX + 1]; /* buckets of the requests' durations */
};

/** A ring of readings; all 0 is empty. */
struct history {
  uint64_t count; /* readings ever taken; number n lives at n % HISTORY_READINGS */
  struct reading readings[HISTORY_READINGS];
};

#endif
