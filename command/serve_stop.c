/* Shutting down: readiness fails while serving goes on, then the port closes, then what was
 * accepted is answered, then the process ends. The second port answers until the end. */
#include "serve.h"

#define DRAIN_PERIOD 20 /* milliseconds between looks at what is left */

static void finish(struct server *server) {
  serve_signals_end(&server->signals);
  log_message(&server->service.log, LOG_INFO, "stopped", "all requests are answered");
  listener_stop(&server->api);
  listener_stop(&server->admin);
  workers_stop(server->service.workers);
  watch_stop(&server->watch);
  uv_close((uv_handle_t *)&server->drain, NULL);
  log_leave(&server->service.log);
}

static void on_drain(uv_timer_t *timer) {
  struct server *server = timer->data;
  bool empty = listener_drain(&server->api);
  bool late = uv_hrtime() >= server->drain_end || server->stops > 2;
  bool idle = server->service.requests == 0 && !server->reloading;
  if (empty && idle) {
    finish(server);
  } else if (late) {
    listener_refuse(&server->api);
    atomic_store(&server->service.stop, true);
  }
}

static void begin_drain(uv_timer_t *timer) {
  struct server *server = timer->data;
  server->service.phase = SERVICE_DRAINING;
  server->drain_end = uv_hrtime() + (uint64_t)(server->options.drain_timeout * 1e9);
  log_message(&server->service.log, LOG_INFO, "draining", "%u requests are left",
              server->api.exchange_count);
  listener_close(&server->api);
  uv_timer_start(&server->drain, on_drain, 0, DRAIN_PERIOD);
}

void server_stop(struct server *server) {
  server->stops++;
  if (server->stops > 2 || server->service.phase == SERVICE_DRAINING)
    return;
  uint64_t delay = (uint64_t)(server->options.drain_delay * 1e3);
  log_message(&server->service.log, LOG_INFO, "leaving", "serving goes on for %.3f s",
              server->stops > 1 ? 0 : server->options.drain_delay);
  server->service.phase = SERVICE_LEAVING;
  listener_leave(&server->api);
  uv_timer_start(&server->drain, begin_drain, server->stops > 1 ? 0 : delay, 0);
}
