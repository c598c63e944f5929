/* What all routes share: how refusals are told, what is counted and logged once a request has
 * ended, and when the service says that it is ready: while its workers turn. */
#include "service.h"

#include <math.h>
#include <string.h>

#include "rates.h"

/* ---- refusing -------------------------------------------------------------------------------- */

unsigned service_retry_after(const struct service *service) {
  struct queue_status queue;
  struct workers_status workers;
  queue_read(service->queue, &queue);
  workers_read(service->workers, &workers);
  double seconds = ceil((double)(queue.images + workers.busy) * workers.image_seconds);
  return seconds < 1 ? 1 : seconds > 600 ? 600 : (unsigned)seconds;
}

void service_refuse(struct service *service, struct reply *reply, enum refusal refusal) {
  char labels[64];
  snprintf(labels, sizeof labels, "reason=\"%s\"", refusal_name(refusal));
  registry_add(service->registry, METRIC_REFUSED, labels, 1);
  reply_header(reply, "Retry-After", "%u", service_retry_after(service));
  reply_problem(reply, PROBLEM_QUEUE_FULL, "the bound on %s is reached", refusal_name(refusal));
}

/* ---- after a request ------------------------------------------------------------------------- */

/* The second port is asked every few seconds, and says by 503 that it is not ready. */
static enum log_level access_level(const struct service *service, const struct exchange *exchange,
                                   unsigned status) {
  const struct route *route = exchange->route;
  bool polled = route && route->flags & ROUTE_POLLED && (status < 400 || route->flags & ROUTE_OPEN);
  if (polled || exchange->listener != service->api)
    return LOG_DEBUG;
  return status >= 500 ? LOG_ERROR : status >= 400 ? LOG_WARNING : LOG_INFO;
}

static void log_request(struct service *service, const struct exchange *exchange, unsigned status,
                        double seconds) {
  struct text line = {0};
  enum log_level level = access_level(service, exchange, status);
  if (level < service->log.access)
    return;
  log_begin(&line, level, "request");
  log_text(&line, "request_id", exchange->request_id);
  log_text(&line, "trace_id", exchange->trace_id);
  log_text(&line, "span_id", exchange->span_id);
  if (*exchange->parent_id)
    log_text(&line, "parent_id", exchange->parent_id);
  log_text(&line, "peer", exchange->connection->peer);
  if (*exchange->key_name)
    log_text(&line, "key", exchange->key_name);
  log_text(&line, "method", exchange->method);
  log_text(&line, "route", exchange->route ? exchange->route->path : "other");
  if (*exchange->subject)
    log_text(&line, "model", exchange->subject);
  if (exchange->pictures)
    log_number(&line, "pictures", (double)exchange->pictures);
  log_number(&line, "status", status);
  if (exchange->reply.problem)
    log_text(&line, "problem", exchange->reply.problem);
  log_number(&line, "bytes_in", (double)exchange->bytes_in);
  log_number(&line, "bytes_out", (double)exchange->bytes_out);
  log_number(&line, "seconds", round(seconds * 1e6) / 1e6);
  log_write(&service->log, &line);
}

void service_finished(void *context, const struct exchange *exchange) {
  struct service *service = context;
  const char *route = exchange->route ? exchange->route->path : "other";
  unsigned status = exchange->client_gone ? 499 : exchange->reply.status;
  double seconds = (double)(uv_hrtime() - exchange->started) * 1e-9;
  char labels[256], model[96] = "";
  if (*exchange->subject)
    snprintf(model, sizeof model, ",model=\"%s\"", exchange->subject);
  snprintf(labels, sizeof labels, "route=\"%s\",method=\"%s\",code=\"%u\"%s", route,
           exchange->method, status, model);
  registry_add(service->registry, METRIC_REQUESTS, labels, 1);
  if (exchange->has_key) {
    snprintf(labels, sizeof labels, "%s,code=\"%u\"", rates_key_label(exchange).text, status);
    registry_add(service->registry, METRIC_KEY_REQUESTS, labels, 1);
  }
  history_record(service);
  snprintf(labels, sizeof labels, "route=\"%s\"%s", route, model);
  registry_observe(service->registry, METRIC_REQUEST_SECONDS, labels, seconds);
  log_request(service, exchange, status, seconds);
}

/* ---- readiness ------------------------------------------------------------------------------- */

const char *service_not_ready(const struct service *service) {
  struct queue_status queue;
  struct workers_status workers;
  if (service->phase != SERVICE_READY)
    return "shutting down";
  workers_read(service->workers, &workers);
  if ((double)workers.longest * 1e-9 > service->stall_time)
    return "a worker computes one batch for too long";
  queue_read(service->queue, &queue);
  uint64_t since = queue.oldest > workers.last_turn ? queue.oldest : workers.last_turn;
  if (queue.images && (double)(uv_hrtime() - since) * 1e-9 > service->stall_time)
    return "no worker takes what waits";
  return NULL;
}
