/* The last hour of the figures that the dashboard draws, so that a page which is loaded again does
 * not start blank. A reading is taken when a request ends, or asks for it, and the newest is ten
 * seconds old: no timer wakes an idle process, and where nothing was asked for nothing changed.
 * Readings are of counters; who draws them takes differences. */
#include <stdio.h>

#include "service.h"

#define SECOND 1000000000ull /* in nanoseconds */

struct model_label model_label(const struct engine *engine) {
  struct model_label label = {""};
  if (engine)
    snprintf(label.text, sizeof label.text, "model=\"%s\"", engine->name);
  return label;
}

/* The routes that compute; asking for a page is no work. */
struct registry_total history_request_seconds(const struct service *service,
                                              const struct model_label *models) {
  static const char *const routes[] = {"\"/v1/encode\"", "\"/v1/decode\"", "\"/v1/reconstruct\"",
                                       "/infer\""};
  struct registry_total total = {0};
  for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
    registry_sum(service->registry, METRIC_REQUEST_SECONDS, routes[i], models->text, &total);
  return total;
}

static double count_of(const struct service *service, const struct model_label *models,
                       const char *labels) {
  struct registry_total total = {0};
  registry_sum(service->registry, METRIC_REQUESTS, labels, models->text, &total);
  return total.value;
}

struct request_counts history_requests(const struct service *service,
                                       const struct model_label *models) {
  double all = count_of(service, models, "method=\"POST\"");
  double succeeded = count_of(service, models, "method=\"POST\",code=\"2");
  double refused = count_of(service, models, "method=\"POST\",code=\"429");
  double faults = count_of(service, models, "method=\"POST\",code=\"5");
  return (struct request_counts){(uint64_t)succeeded, (uint64_t)(all - succeeded),
                                 (uint64_t)refused, (uint64_t)faults};
}

void history_add_requests(struct text *text, const struct request_counts *counts) {
  text_print(text,
             "\"requests\":{\"succeeded\":%llu,\"failed\":%llu,\"refused\":%llu,\"faults\":%llu}",
             (unsigned long long)counts->succeeded, (unsigned long long)counts->failed,
             (unsigned long long)counts->refused, (unsigned long long)counts->faults);
}

static struct reading take_reading(struct service *service, const struct model_label *models,
                                   uint64_t now) {
  struct reading reading = {.at = now, .in_flight = service->requests};
  struct queue_status queue;
  struct registry_total seconds = history_request_seconds(service, models);
  struct registry_total images = {0};
  registry_sum(service->registry, METRIC_IMAGES, models->text, "", &images);
  queue_read(service->queue, &queue);
  reading.queue_images = queue.images;
  reading.images = (uint64_t)images.value;
  reading.requests = history_requests(service, models);
  for (size_t i = 0; i <= service_metrics[METRIC_REQUEST_SECONDS].bound_count; i++)
    reading.seconds[i] = seconds.buckets[i];
  return reading;
}

static void record(struct service *service, const struct engine *engine, struct history *history) {
  uint64_t now = uv_hrtime();
  const struct reading *newest =
      &history->readings[(history->count + HISTORY_READINGS - 1) % HISTORY_READINGS];
  if (history->count && now - newest->at < HISTORY_INTERVAL * SECOND)
    return;
  const struct model_label models = model_label(engine);
  history->readings[history->count++ % HISTORY_READINGS] = take_reading(service, &models, now);
}

void history_record(struct service *service) {
  record(service, NULL, &service->history);
  for (size_t i = 0; i < service->models->count; i++)
    record(service, service->models->engines[i], service->models->engines[i]->history);
}

static void add_reading(struct text *text, const struct service *service,
                        const struct reading *reading) {
  text_print(
      text, "{\"uptime_seconds\":%.3f,\"images\":%llu,\"in_flight\":%u,\"queue\":{\"images\":%zu},",
      (double)(reading->at - service->started_clock) * 1e-9, (unsigned long long)reading->images,
      reading->in_flight, reading->queue_images);
  history_add_requests(text, &reading->requests);
  text_print(text, ",\"request_seconds\":{\"counts\":[");
  for (size_t i = 0; i <= service_metrics[METRIC_REQUEST_SECONDS].bound_count; i++)
    text_print(text, "%s%llu", i ? "," : "", (unsigned long long)reading->seconds[i]);
  text_print(text, "]}}");
}

void history_write(const struct service *service, const struct history *history,
                   struct text *text) {
  uint64_t now = uv_hrtime(), hour = (uint64_t)HISTORY_READINGS * HISTORY_INTERVAL * SECOND;
  uint64_t first = history->count > HISTORY_READINGS ? history->count - HISTORY_READINGS : 0;
  const char *comma = "";
  text_print(text, ",\"history\":[");
  for (uint64_t i = first; i < history->count; i++) {
    const struct reading *reading = &history->readings[i % HISTORY_READINGS];
    if (now - reading->at > hour)
      continue;
    text_print(text, "%s", comma);
    add_reading(text, service, reading);
    comma = ",";
  }
  text_print(text, "]");
}
