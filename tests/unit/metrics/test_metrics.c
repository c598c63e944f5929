/* Counters, histograms and the windows of code usage. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "../suite.h"
#include "registry.h"
#include "usage.h"

#define SECOND 1000000000ull

static const double bounds[] = {0.5, 1, 2};
static const struct metric metrics[] = {
    {"things_total", METRIC_COUNTER, "Things.", NULL, 0},
    {"level", METRIC_GAUGE, "A level.", NULL, 0},
    {"wait_seconds", METRIC_HISTOGRAM, "A wait.", bounds, 3},
    {"never_total", METRIC_COUNTER, "Never seen.", NULL, 0},
};

START_TEST(the_page_is_prometheus_text) {
  struct registry *registry = registry_new(metrics, 4);
  struct text text = {0};
  registry_add(registry, 0, "kind=\"a\"", 1);
  registry_add(registry, 0, "kind=\"b\"", 2);
  registry_add(registry, 0, "kind=\"a\"", 3);
  registry_set(registry, 1, "", 5);
  registry_set(registry, 1, "", -0.25);
  static const double observed[] = {0.1, 0.5, 0.6, 2, 9};
  for (size_t i = 0; i < 5; i++)
    registry_observe(registry, 2, "", observed[i]);
  registry_write(registry, &text);
  ck_assert_str_eq(text.data, "# HELP things_total Things.\n"
                              "# TYPE things_total counter\n"
                              "things_total{kind=\"a\"} 4\n"
                              "things_total{kind=\"b\"} 2\n"
                              "# HELP level A level.\n"
                              "# TYPE level gauge\n"
                              "level -0.25\n"
                              "# HELP wait_seconds A wait.\n"
                              "# TYPE wait_seconds histogram\n"
                              "wait_seconds_bucket{le=\"0.5\"} 2\n"
                              "wait_seconds_bucket{le=\"1\"} 3\n"
                              "wait_seconds_bucket{le=\"2\"} 4\n"
                              "wait_seconds_bucket{le=\"+Inf\"} 5\n"
                              "wait_seconds_sum 12.199999999999999\n"
                              "wait_seconds_count 5\n");
  ck_assert_double_eq(registry_value(registry, 0, "kind=\"a\""), 4);
  ck_assert_double_eq(registry_value(registry, 0, "kind=\"c\""), 0);
  ck_assert_double_eq(registry_value(registry, 2, ""), 5);
  registry_clear(registry, 0);
  ck_assert_double_eq(registry_value(registry, 0, "kind=\"a\""), 0);
  text_free(&text);
  registry_free(registry);
}
END_TEST

START_TEST(sums_take_the_series_that_match) {
  struct registry *registry = registry_new(metrics, 4);
  registry_add(registry, 0, "method=\"POST\",code=\"200\"", 4);
  registry_add(registry, 0, "method=\"POST\",code=\"204\"", 2);
  registry_add(registry, 0, "method=\"POST\",code=\"429\"", 1);
  registry_add(registry, 0, "method=\"GET\",code=\"200\"", 8);
  static const struct {
    const char *part, *other;
    double sum;
  } rows[] = {{"", "", 15},
              {"method=\"POST\"", "", 7},
              {"method=\"POST\",code=\"2", "", 6},
              {"code=\"200\"", "method=\"GET\"", 8},
              {"method=\"GET\"", "code=\"4", 0},
              {"PUT", "", 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct registry_total total = {0};
    registry_sum(registry, 0, rows[i].part, rows[i].other, &total);
    ck_assert_double_eq(total.value, rows[i].sum);
  }
  registry_free(registry);
}
END_TEST

START_TEST(sums_of_histograms_add_their_buckets) {
  struct registry *registry = registry_new(metrics, 4);
  registry_observe(registry, 2, "route=\"a\"", 0.75);
  registry_observe(registry, 2, "route=\"b\"", 0.75);
  registry_observe(registry, 2, "route=\"b\"", 100);
  struct registry_total total = {0};
  registry_sum(registry, 2, "", "", &total);
  ck_assert_double_eq(total.value, 101.5);
  ck_assert_uint_eq(total.count, 3);
  ck_assert_uint_eq(total.buckets[1], 2);
  ck_assert_uint_eq(total.buckets[metrics[2].bound_count], 1); /* above the last bound */
  registry_free(registry);
}
END_TEST

START_TEST(windows_forget_and_the_process_does_not) {
  enum { CODES = 3 };
  struct usage *usage = usage_new(CODES);
  static const struct {
    unsigned second;                  /* when it is asked */
    uint64_t expected[USAGE_WINDOWS]; /* counts of code 1 in process, 1m, 10m, 1h */
  } rows[] = {{0, {2, 2, 2, 2}},    {50, {2, 2, 2, 2}},     {61, {2, 0, 2, 2}},
              {550, {2, 0, 2, 2}},  {601, {2, 0, 0, 2}},    {3299, {2, 0, 0, 2}},
              {3601, {2, 0, 0, 0}}, {1000000, {2, 0, 0, 0}}};
  usage_record(usage, (const uint32_t[]){1, 0, 1}, 3, 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int window = 0; window < USAGE_WINDOWS; window++) {
      uint64_t counts[CODES];
      usage_counts(usage, (enum usage_window)window, rows[i].second * SECOND, counts);
      ck_assert_msg(counts[1] == rows[i].expected[window], "%s after %u s",
                    usage_window_name((enum usage_window)window), rows[i].second);
      ck_assert_uint_eq(counts[0], counts[1] / 2);
      ck_assert_uint_eq(counts[2], 0);
    }
  usage_free(usage);
}
END_TEST

/* Against a list of all events: a window holds all of its newest 11/12 (9/10) and none older. */
START_TEST(windows_slide) {
  struct usage *usage = usage_new(1);
  static const uint64_t lengths[] = {0, 60, 600, 3600}, slots[] = {1, 10, 10, 12};
  for (uint64_t second = 0; second < 8000; second += 7) {
    usage_record(usage, (const uint32_t[]){0}, 1, second * SECOND);
    for (int window = USAGE_MINUTE; window < USAGE_WINDOWS; window++) {
      uint64_t count, length = lengths[window], sure = length - length / slots[window];
      usage_counts(usage, (enum usage_window)window, second * SECOND, &count);
      uint64_t all = second / 7 + 1;
      uint64_t least = sure / 7 < all ? sure / 7 : all;
      uint64_t most = length / 7 + 1 < all ? length / 7 + 1 : all;
      ck_assert_msg(count >= least && count <= most, "%s at %llu s: %llu",
                    usage_window_name((enum usage_window)window), (unsigned long long)second,
                    (unsigned long long)count);
    }
  }
  usage_free(usage);
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("metrics");
  tcase_add_test(cases, the_page_is_prometheus_text);
  tcase_add_test(cases, sums_take_the_series_that_match);
  tcase_add_test(cases, sums_of_histograms_add_their_buckets);
  tcase_add_test(cases, windows_forget_and_the_process_does_not);
  tcase_add_test(cases, windows_slide);
  return suite_run("metrics", cases);
}
