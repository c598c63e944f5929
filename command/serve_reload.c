/* SIGHUP: the model, the keys and the certificate are read again by a codec thread; what is wrong
 * leaves the old ones in place. */
#include <stdlib.h>
#include <string.h>

#include "serve.h"

struct reload {
  uv_work_t task;
  struct server *server;
  struct engine *engine;
  struct keys *keys;
  struct certificate *certificate;
  enum vqct_status engine_status, keys_status, certificate_status;
  struct vqct_error engine_error, keys_error, certificate_error;
};

static void load(uv_work_t *task) {
  struct reload *reload = task->data;
  const struct serve_options *options = &reload->server->options;
  reload->engine_status =
      engine_open(options->model, (unsigned)options->workers, (unsigned)options->threads,
                  &reload->server->service.stop, &reload->engine, &reload->engine_error);
  reload->keys_status = VQCT_OK;
  if (options->api_keys)
    reload->keys_status = keys_read(options->api_keys, &reload->keys, &reload->keys_error);
  if (options->tls_certificate)
    reload->certificate_status = certificate_read(options->tls_certificate, options->tls_key,
                                                  &reload->certificate, &reload->certificate_error);
}

/* With which model it was; NULL where it was none. */
static void log_reload(struct service *service, const char *what, const struct engine *engine) {
  struct text line = {0}, message = {0};
  text_print(&message, "the %s is loaded again", what);
  log_begin(&line, LOG_INFO, "reload");
  log_text(&line, "message", message.data);
  if (engine) {
    log_text(&line, "model", engine->info->name);
    log_text(&line, "checksum", engine->info->checksum);
  }
  log_end(&service->log, &line, LOG_INFO);
  text_free(&message);
}

static void report(struct service *service, const char *what, const struct engine *engine,
                   enum vqct_status status, const struct vqct_error *error) {
  char labels[64];
  snprintf(labels, sizeof labels, "what=\"%s\",result=\"%s\"", what,
           status == VQCT_OK ? "ok" : "failed");
  registry_add(service->registry, METRIC_RELOADS, labels, 1);
  if (status == VQCT_OK)
    log_reload(service, what, engine);
  else
    log_message(&service->log, LOG_ERROR, "reload", "the old %s goes on: %s", what, error->message);
}

/* The same model keeps its counters. */
static void swap_engine(struct service *service, struct engine *engine) {
  struct engine *old = service->engine;
  if (!strcmp(old->info->checksum, engine->info->checksum)) {
    struct usage *usage = old->usage;
    old->usage = engine->usage;
    engine->usage = usage;
  }
  /* The codebooks of the new model may have other names. */
  for (size_t metric = METRIC_CODEBOOK_CODES; metric <= METRIC_CODEBOOK_DRIFT; metric++)
    registry_clear(service->registry, metric);
  service->engine = engine;
  engine_release(old);
}

static void loaded(uv_work_t *task, int status) {
  struct reload *reload = task->data;
  struct server *server = reload->server;
  struct service *service = &server->service;
  (void)status;
  report(service, "model", reload->engine, reload->engine_status, &reload->engine_error);
  if (reload->engine_status == VQCT_OK)
    swap_engine(service, reload->engine);
  if (server->options.api_keys)
    report(service, "keys", NULL, reload->keys_status, &reload->keys_error);
  if (reload->keys) {
    keys_free(service->keys);
    service->keys = reload->keys;
  }
  if (server->certificate)
    report(service, "certificate", NULL, reload->certificate_status, &reload->certificate_error);
  if (reload->certificate) {
    certificate_release(server->certificate);
    server->certificate = reload->certificate;
  }
  free(reload);
  server->reloading = false;
  if (server->reload_again)
    server_reload(server);
}

void server_reload(struct server *server) {
  server->reload_again = server->reloading;
  if (server->reloading || server->service.phase == SERVICE_DRAINING)
    return;
  struct reload *reload = calloc(1, sizeof *reload);
  if (!reload) {
    log_message(&server->service.log, LOG_ERROR, "reload", "no memory to reload");
    return;
  }
  reload->server = server;
  reload->task.data = reload;
  server->reloading = true;
  uv_queue_work(&server->loop, &reload->task, load, loaded);
}
