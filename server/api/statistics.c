/* GET /v1/statistics: what the dashboard draws. Counters and histograms run from the start of the
 * process; who asks twice has what happened in between. With ?model= they are of that model, but
 * for what only the process has: its queue, its memory, whether it is ready. */
#include <string.h>

#include "choice.h"

static struct registry_total total_of(const struct service *service, enum service_metric metric,
                                      const struct model_label *models) {
  struct registry_total total = {0};
  registry_sum(service->registry, metric, models->text, "", &total);
  return total;
}

static void add_histogram(struct text *text, const char *name, enum service_metric metric,
                          const struct registry_total *total) {
  const struct metric *family = &service_metrics[metric];
  text_print(text, ",\"%s\":{\"bounds\":[", name);
  for (size_t i = 0; i < family->bound_count; i++)
    text_print(text, "%s%g", i ? "," : "", family->bounds[i]);
  text_print(text, "],\"counts\":[");
  for (size_t i = 0; i <= family->bound_count; i++)
    text_print(text, "%s%llu", i ? "," : "", (unsigned long long)total->buckets[i]);
  text_print(text, "],\"sum\":%.9g}", total->value);
}

static void add_queue(struct text *text, struct service *service) {
  struct queue_status queue;
  struct reservation held = admission_held(&service->admission);
  queue_read(service->queue, &queue);
  text_print(
      text,
      ",\"in_flight\":%u,\"queue\":{\"images\":%zu,\"bytes\":%llu,\"pixels\":%llu,\"limit\":%zu}",
      service->requests, queue.images, (unsigned long long)held.bytes,
      (unsigned long long)held.pixels, service->admission.limit.images);
}

static bool read_query(struct exchange *exchange, bool *history) {
  static const char *const names[] = {"history", "model", NULL};
  const char *given = exchange_query(exchange, "history");
  if (!exchange_check_query(exchange, names))
    return false;
  *history = given && !strcmp(given, "true");
  if (!given || *history || !strcmp(given, "false"))
    return true;
  reply_problem(&exchange->reply, PROBLEM_BAD_PARAMETER,
                "history is '%.20s': true or false is allowed", given);
  return false;
}

void statistics_handle(void *context, struct exchange *exchange) {
  struct service *service = context;
  struct text *text = &exchange->reply.body;
  const struct engine *engine = NULL; /* all of them */
  bool history;
  if (!read_query(exchange, &history))
    return;
  if (exchange_query(exchange, "model") && !(engine = choice_of_query(service, exchange)))
    return;
  const struct model_label models = model_label(engine);
  const char *reason = service_not_ready(service);
  struct registry_total seconds = history_request_seconds(service, &models);
  struct request_counts requests = history_requests(service, &models);
  struct registry_total batches = total_of(service, METRIC_BATCH_IMAGES, &models);
  exchange->reply.status = 200;
  exchange->reply.type = "application/json";
  text_print(text, "{\"uptime_seconds\":%.3f,\"not_ready\":",
             (double)(uv_hrtime() - service->started_clock) * 1e-9);
  if (reason)
    text_add_json(text, reason);
  else
    text_print(text, "null");
  text_print(text, ",\"images\":%.0f,\"tokens\":%.0f,\"resident_bytes\":%.0f,",
             total_of(service, METRIC_IMAGES, &models).value,
             total_of(service, METRIC_TOKENS, &models).value, service_resident_bytes());
  history_add_requests(text, &requests);
  add_queue(text, service);
  add_histogram(text, "request_seconds", METRIC_REQUEST_SECONDS, &seconds);
  add_histogram(text, "batch_images", METRIC_BATCH_IMAGES, &batches);
  if (history)
    history_write(service, engine ? engine->history : &service->history, text);
  text_print(text, "}\n");
}
