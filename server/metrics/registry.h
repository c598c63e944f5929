/* Counters, gauges and histograms, and the page that Prometheus reads.
 *
 * What is measured is defined once, in a table; a family has one series for each set of label
 * values. Everything is recorded and read on the loop thread: workers and codec threads write the
 * times they measure into the job that they hand back, so no counter needs a lock. */
#ifndef METRICS_REGISTRY_H
#define METRICS_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "text.h"

#define REGISTRY_BOUNDS_MAX 31 /* of a histogram */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
  const char *name; /* after Prometheus's conventions, units included */
  enum metric_type type;
  const char *help;     /* one sentence */
  const double *bounds; /* of a histogram: upper bounds, rising, without infinity */
  size_t bound_count;
};

struct registry;

/** A registry of these families; the table must outlive it. NULL where memory fails. */
struct registry *registry_new(const struct metric *metrics, size_t count);
void registry_free(struct registry *registry);

/* For each: `metric` is the index in the table; `labels` is `name="value",name="value"`, with
 * values that need no escaping, or "". Where memory for a new series fails, the value is dropped.
 */

/** Adds to a counter or gauge. */
void registry_add(struct registry *registry, size_t metric, const char *labels, double amount);

/** Sets a gauge, or a counter that another keeps. */
void registry_set(struct registry *registry, size_t metric, const char *labels, double value);

/** Puts one observation into a histogram. */
void registry_observe(struct registry *registry, size_t metric, const char *labels, double value);

/** Forgets all series of a family: for gauges whose labels change. */
void registry_clear(struct registry *registry, size_t metric);

/** The value of a counter or gauge, the number of observations of a histogram; 0 if never set. */
double registry_value(const struct registry *registry, size_t metric, const char *labels);

/** The sum of several series of one family. */
struct registry_total {
  double value;   /* of counters or gauges; the sum of a histogram's observations */
  uint64_t count; /* observations of a histogram */
  uint64_t buckets[REGISTRY_BOUNDS_MAX + 1]; /* as many as the family has bounds, and one above */
};

/** Adds the series of a family whose labels contain both parts ("": all do) to a total that the
 * caller has cleared. */
void registry_sum(const struct registry *registry, size_t metric, const char *part,
                  const char *other, struct registry_total *total);

/** Writes all families in the Prometheus text format, version 0.0.4. */
void registry_write(const struct registry *registry, struct text *text);

#endif
