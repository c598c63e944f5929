/* A series is found by its labels as text, in a list in the order of first use: families have a
 * handful each, and all of it runs on one thread. Buckets are kept apart and summed when written.
 */
#include "registry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One set of label values of a family. */
struct series {
  struct series *next;
  char *labels;
  double value;       /* of a counter or gauge; the sum of a histogram */
  uint64_t count;     /* observations of a histogram */
  uint64_t buckets[]; /* bound_count + 1, not cumulative */
};

struct registry {
  const struct metric *metrics;
  size_t count;
  struct series *series[]; /* one list a family, in the order of first use */
};

struct registry *registry_new(const struct metric *metrics, size_t count) {
  struct registry *registry = calloc(1, sizeof *registry + count * sizeof *registry->series);
  if (!registry)
    return NULL;
  registry->metrics = metrics;
  registry->count = count;
  return registry;
}

void registry_clear(struct registry *registry, size_t metric) {
  for (struct series *series = registry->series[metric], *next; series; series = next) {
    next = series->next;
    free(series->labels);
    free(series);
  }
  registry->series[metric] = NULL;
}

void registry_free(struct registry *registry) {
  for (size_t i = 0; registry && i < registry->count; i++)
    registry_clear(registry, i);
  free(registry);
}

static struct series *series_find(const struct registry *registry, size_t metric,
                                  const char *labels) {
  struct series *series = registry->series[metric];
  while (series && strcmp(series->labels, labels))
    series = series->next;
  return series;
}

static struct series *series_get(struct registry *registry, size_t metric, const char *labels) {
  struct series **end = &registry->series[metric];
  for (; *end; end = &(*end)->next)
    if (!strcmp((*end)->labels, labels))
      return *end;
  size_t buckets = registry->metrics[metric].bound_count + 1;
  struct series *series = calloc(1, sizeof *series + buckets * sizeof *series->buckets);
  char *copy = series ? strdup(labels) : NULL;
  if (!copy) {
    free(series);
    return NULL;
  }
  series->labels = copy;
  *end = series;
  return series;
}

void registry_add(struct registry *registry, size_t metric, const char *labels, double amount) {
  struct series *series = series_get(registry, metric, labels);
  if (series)
    series->value += amount;
}

void registry_set(struct registry *registry, size_t metric, const char *labels, double value) {
  struct series *series = series_get(registry, metric, labels);
  if (series)
    series->value = value;
}

void registry_observe(struct registry *registry, size_t metric, const char *labels, double value) {
  struct series *series = series_get(registry, metric, labels);
  if (!series)
    return;
  const struct metric *family = &registry->metrics[metric];
  size_t bucket = 0;
  while (bucket < family->bound_count && value > family->bounds[bucket])
    bucket++;
  series->buckets[bucket]++;
  series->count++;
  series->value += value;
}

double registry_value(const struct registry *registry, size_t metric, const char *labels) {
  const struct series *series = series_find(registry, metric, labels);
  if (!series)
    return 0;
  return registry->metrics[metric].type == METRIC_HISTOGRAM ? (double)series->count : series->value;
}

void registry_sum(const struct registry *registry, size_t metric, const char *part,
                  const char *other, struct registry_total *total) {
  const struct metric *family = &registry->metrics[metric];
  for (const struct series *series = registry->series[metric]; series; series = series->next) {
    if (!strstr(series->labels, part) || !strstr(series->labels, other))
      continue;
    total->value += series->value;
    total->count += series->count;
    for (size_t i = 0; family->type == METRIC_HISTOGRAM && i <= family->bound_count; i++)
      total->buckets[i] += series->buckets[i];
  }
}

static void write_number(struct text *text, double value) {
  if (isnan(value))
    text_print(text, "NaN\n");
  else if (isinf(value))
    text_print(text, "%sInf\n", value > 0 ? "+" : "-");
  else
    text_print(text, "%.17g\n", value);
}

static void write_histogram(struct text *text, const struct metric *metric,
                            const struct series *series) {
  const char *comma = *series->labels ? "," : "";
  uint64_t below = 0;
  for (size_t i = 0; i < metric->bound_count; i++) {
    below += series->buckets[i];
    text_print(text, "%s_bucket{%s%sle=\"%.12g\"} %llu\n", metric->name, series->labels, comma,
               metric->bounds[i], (unsigned long long)below);
  }
  text_print(text, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", metric->name, series->labels, comma,
             (unsigned long long)series->count);
  const char *open = *series->labels ? "{" : "", *close = *series->labels ? "}" : "";
  text_print(text, "%s_sum%s%s%s ", metric->name, open, series->labels, close);
  write_number(text, series->value);
  text_print(text, "%s_count%s%s%s %llu\n", metric->name, open, series->labels, close,
             (unsigned long long)series->count);
}

static void write_family(const struct registry *registry, size_t index, struct text *text) {
  static const char *const types[] = {"counter", "gauge", "histogram"};
  const struct metric *metric = &registry->metrics[index];
  text_print(text, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
             types[metric->type]);
  for (const struct series *series = registry->series[index]; series; series = series->next) {
    if (metric->type == METRIC_HISTOGRAM) {
      write_histogram(text, metric, series);
      continue;
    }
    if (*series->labels)
      text_print(text, "%s{%s} ", metric->name, series->labels);
    else
      text_print(text, "%s ", metric->name);
    write_number(text, series->value);
  }
}

void registry_write(const struct registry *registry, struct text *text) {
  for (size_t i = 0; i < registry->count; i++)
    if (registry->series[i])
      write_family(registry, i, text);
}
