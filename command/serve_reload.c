/* SIGHUP: the list of models, the models, the keys and the certificate are read again by a codec
 * thread; what is wrong leaves the old ones in place.
 *
 *   configuration, keys, certificate ── a model ─┬─ (the next one) ── finished
 *          (codec thread)                (codec) └─ swapped in (loop)
 *
 * One model is loaded at a time and served as soon as it is there, so that memory has to hold but
 * one more than before, and a broken one keeps no other from being renewed. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "serve.h"
#include "serve_models.h"

/* What was read again. */
struct result {
  enum vqct_status status;
  struct vqct_error error;
};

struct reload {
  uv_work_t task;
  struct server *server;
  struct arena arena; /* of the options */
  struct serve_options options;
  struct model_specs specs;
  struct engine **loaded; /* for each of the specs; NULL: not yet, or broken */
  size_t at;              /* of the specs, the one that is being loaded */
  struct keys *keys;
  struct certificate *certificate;
  struct result configuration, model, keys_result, certificate_result;
};

/* ---- reading, on a codec thread -------------------------------------------------------------- */

/* The options as they are now; of these only the models count, the rest needs a new process. */
static enum vqct_status read_configuration(struct reload *reload, struct vqct_error *error) {
  const struct server *server = reload->server;
  struct options_found found;
  enum vqct_status status = options_read(&serve_option_table, server->argc, server->argv,
                                         &reload->options, &found, &reload->arena, error);
  if (status == VQCT_OK)
    status = model_specs_read(&reload->options.model, &reload->specs, &reload->arena, error);
  if (status != VQCT_OK)
    return status;
  reload->loaded = arena_calloc(&reload->arena, reload->specs.count, sizeof(struct engine *));
  if (!reload->loaded)
    return error_set(error, VQCT_MEMORY, "no memory for the list of models");
  return VQCT_OK;
}

static void read_all(uv_work_t *task) {
  struct reload *reload = task->data;
  const struct serve_options *options = &reload->server->options;
  reload->configuration.status = read_configuration(reload, &reload->configuration.error);
  if (options->api_keys)
    reload->keys_result.status =
        keys_read(options->api_keys, &reload->keys, &reload->keys_result.error);
  if (options->tls_certificate)
    reload->certificate_result.status =
        certificate_read(options->tls_certificate, options->tls_key, &reload->certificate,
                         &reload->certificate_result.error);
}

static void load_model(uv_work_t *task) {
  struct reload *reload = task->data;
  struct server *server = reload->server;
  reload->model.status =
      model_spec_open(&reload->specs.items[reload->at], &server->options, &server->service.stop,
                      &reload->loaded[reload->at], &reload->model.error);
}

/* ---- what came of it, on the loop ------------------------------------------------------------ */

static void report(struct service *service, const char *what, const char *model,
                   const struct result *result, const struct engine *engine) {
  char labels[160], named[96] = "";
  if (model)
    snprintf(named, sizeof named, ",model=\"%s\"", model);
  snprintf(labels, sizeof labels, "what=\"%s\",result=\"%s\"%s", what,
           result->status == VQCT_OK ? "ok" : "failed", named);
  registry_add(service->registry, METRIC_RELOADS, labels, 1);
  if (result->status != VQCT_OK) {
    log_message(&service->log, LOG_ERROR, "reload", "the old %s goes on: %s", what,
                result->error.message);
    return;
  }
  struct text line = {0}, message = {0};
  text_print(&message, "the %s is loaded again", what);
  log_begin(&line, LOG_INFO, "reload");
  log_text(&line, "message", message.data);
  if (engine) {
    log_text(&line, "model", engine->name);
    log_text(&line, "checksum", engine->info->checksum);
  }
  log_end(&service->log, &line, LOG_INFO);
  text_free(&message);
}

/* What is loaded again keeps its history, and the same model its counters. */
static void keep_figures(struct engine *before, struct engine *now) {
  if (before == now)
    return;
  struct history *history = before->history;
  before->history = now->history;
  now->history = history;
  if (strcmp(before->info->checksum, now->info->checksum))
    return;
  struct usage *usage = before->usage;
  before->usage = now->usage;
  now->usage = usage;
}

/* Says which models come and go with the new list. */
static void compare(struct service *service, const struct models *before,
                    const struct models *now) {
  for (size_t i = 0; i < before->count; i++)
    if (!models_find(now, before->engines[i]->name))
      log_message(&service->log, LOG_INFO, "model-removed", "%s is not served any more",
                  before->engines[i]->name);
  for (size_t i = 0; i < now->count; i++) {
    struct engine *engine = models_find(before, now->engines[i]->name);
    if (engine)
      keep_figures(engine, now->engines[i]);
    else
      service_begin_model(service, now->engines[i]->name);
  }
}

/* Serves what is loaded so far, and for the rest of the list what was served for it before. */
static enum vqct_status publish(struct reload *reload, struct vqct_error *error) {
  struct service *service = &reload->server->service;
  struct models *before = service->models, *now;
  size_t count = 0;
  struct engine **engines = calloc(reload->specs.count, sizeof(struct engine *));
  if (!engines)
    return error_set(error, VQCT_MEMORY, "no memory for the list of models");
  for (size_t i = 0; i < reload->specs.count; i++) {
    struct engine *engine = reload->loaded[i];
    if (!engine)
      engine = model_spec_engine(&reload->specs.items[i], before);
    if (engine)
      engines[count++] = engine_retain(engine);
  }
  enum vqct_status status = models_new(engines, count, &now, error);
  free(engines);
  if (status != VQCT_OK)
    return status;
  compare(service, before, now);
  service->models = now;
  models_release(before);
  return VQCT_OK;
}

static void finish(struct reload *reload) {
  struct server *server = reload->server;
  struct service *service = &server->service;
  if (reload->configuration.status != VQCT_OK)
    report(service, "configuration", NULL, &reload->configuration, NULL);
  for (size_t i = 0; reload->loaded && i < reload->specs.count; i++)
    engine_release(reload->loaded[i]);
  if (server->options.api_keys)
    report(service, "keys", NULL, &reload->keys_result, NULL);
  if (reload->keys) {
    keys_free(service->keys);
    service->keys = reload->keys;
  }
  if (server->certificate)
    report(service, "certificate", NULL, &reload->certificate_result, NULL);
  if (reload->certificate) {
    certificate_release(server->certificate);
    server->certificate = reload->certificate;
  }
  arena_free(&reload->arena);
  free(reload);
  server->reloading = false;
  if (server->reload_again)
    server_reload(server);
}

static void model_loaded(uv_work_t *task, int status);

static void load_next(struct reload *reload) {
  bool draining = reload->server->service.phase == SERVICE_DRAINING;
  if (!draining && reload->loaded && reload->at < reload->specs.count)
    uv_queue_work(&reload->server->loop, &reload->task, load_model, model_loaded);
  else
    finish(reload);
}

static void model_loaded(uv_work_t *task, int status) {
  struct reload *reload = task->data;
  struct service *service = &reload->server->service;
  const struct model_spec *spec = &reload->specs.items[reload->at];
  struct engine **loaded = &reload->loaded[reload->at];
  struct vqct_error unused;
  (void)status;
  struct engine *before = model_spec_engine(spec, service->models);
  const char *name = *loaded ? (*loaded)->name : before ? before->name : spec->name;
  if (reload->model.status != VQCT_OK)
    publish(reload, &unused); /* what is not asked for any more goes all the same */
  else
    reload->model.status = publish(reload, &reload->model.error);
  report(service, "model", name ? name : "", &reload->model, *loaded);
  if (reload->model.status != VQCT_OK) {
    engine_release(*loaded);
    *loaded = NULL;
  }
  reload->at++;
  load_next(reload);
}

static void all_read(uv_work_t *task, int status) {
  (void)status;
  load_next(task->data);
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
  arena_init(&reload->arena, 0);
  server->reloading = true;
  uv_queue_work(&server->loop, &reload->task, read_all, all_read);
}
