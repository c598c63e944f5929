/* SIGHUP, or a file that is watched and changed: the list of models, the models, the keys and the
 * certificate are read again by a codec thread; what is wrong leaves the old ones in place.
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
  enum reload_what what;
  bool reads_keys, reads_certificate;
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
  if (reload->reads_keys)
    reload->keys_result.status =
        keys_read(options->api_keys, &reload->keys, &reload->keys_result.error);
  if (reload->reads_certificate)
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

/* ---- what is watched, on the loop ------------------------------------------------------------ */

/* All files but the models; says which of them changed. */
static void note_files(struct server *server, bool *keys, bool *certificate) {
  const struct serve_options *options = &server->options;
  watch_round(&server->watch);
  watch_note(&server->watch, server->config);
  *keys = watch_note(&server->watch, options->api_keys);
  *certificate = watch_note(&server->watch, options->tls_certificate);
  *certificate = watch_note(&server->watch, options->tls_key) || *certificate;
}

static void keep_models(struct server *server) {
  for (size_t i = 0; i < server->service.models->count; i++)
    watch_keep(&server->watch, server->service.models->engines[i]->path);
}

static void on_change(void *server) {
  server_reload(server, RELOAD_CHANGED);
}

void server_watch(struct server *server, const struct model_specs *specs) {
  bool unused;
  watch_start(&server->watch, &server->loop, on_change, server);
  note_files(server, &unused, &unused);
  for (size_t i = 0; i < specs->count; i++)
    watch_note(&server->watch, specs->items[i].path);
}

/* ---- what came of it, on the loop ------------------------------------------------------------ */

/* `before` is whether there is an old one, which goes on where the new is broken. */
static void report(struct service *service, const char *what, bool before, const char *model,
                   const struct result *result, const struct engine *engine) {
  char labels[160], named[96] = "";
  if (model)
    snprintf(named, sizeof named, ",model=\"%s\"", model);
  snprintf(labels, sizeof labels, "what=\"%s\",result=\"%s\"%s", what,
           result->status == VQCT_OK ? "ok" : "failed", named);
  registry_add(service->registry, METRIC_RELOADS, labels, 1);
  if (result->status != VQCT_OK) {
    log_message(&service->log, LOG_ERROR, "reload",
                before ? "the old %s goes on: %s" : "a %s is not served: %s", what,
                result->error.message);
    return;
  }
  struct text line = {0}, message = {0};
  text_print(&message, before ? "the %s is loaded again" : "the %s is loaded", what);
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
    report(service, "configuration", true, NULL, &reload->configuration, NULL);
  for (size_t i = 0; reload->loaded && i < reload->specs.count; i++)
    engine_release(reload->loaded[i]);
  if (reload->reads_keys)
    report(service, "keys", true, NULL, &reload->keys_result, NULL);
  if (reload->keys) {
    keys_free(service->keys);
    service->keys = reload->keys;
  }
  if (reload->reads_certificate)
    report(service, "certificate", true, NULL, &reload->certificate_result, NULL);
  if (reload->certificate) {
    certificate_release(server->certificate);
    server->certificate = reload->certificate;
  }
  arena_free(&reload->arena);
  free(reload);
  server->reloading = false;
  if (server->reload_again)
    server_reload(server, server->reload_what);
}

static void model_loaded(uv_work_t *task, int status);

/* Whether the next of the list is to be loaded. */
static bool is_wanted(const struct reload *reload) {
  const struct model_spec *spec = &reload->specs.items[reload->at];
  bool changed = watch_note(&reload->server->watch, spec->path);
  const struct engine *engine = model_spec_engine(spec, reload->server->service.models);
  return changed || reload->what == RELOAD_ALL || !engine || strcmp(engine->path, spec->path) != 0;
}

static void load_next(struct reload *reload) {
  struct server *server = reload->server;
  struct vqct_error fault;
  if (server->service.phase != SERVICE_DRAINING)
    while (reload->loaded && reload->at < reload->specs.count) {
      if (is_wanted(reload)) {
        uv_queue_work(&server->loop, &reload->task, load_model, model_loaded);
        return;
      }
      reload->at++;
    }
  if (reload->loaded)
    publish(reload, &fault); /* what is not asked for any more goes */
  else
    keep_models(server);
  if (watch_follow(&server->watch, &fault) != VQCT_OK)
    log_message(&server->service.log, LOG_ERROR, "watch", "%s", fault.message);
  finish(reload);
}

static void model_loaded(uv_work_t *task, int status) {
  struct reload *reload = task->data;
  struct service *service = &reload->server->service;
  const struct model_spec *spec = &reload->specs.items[reload->at];
  struct engine **loaded = &reload->loaded[reload->at];
  (void)status;
  struct engine *before = model_spec_engine(spec, service->models);
  bool is_renewed = before != NULL;
  const char *name = *loaded ? (*loaded)->name : before ? before->name : spec->name;
  if (reload->model.status == VQCT_OK)
    reload->model.status = publish(reload, &reload->model.error);
  report(service, "model", is_renewed, name ? name : "", &reload->model, *loaded);
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

void server_reload(struct server *server, enum reload_what what) {
  bool more = what > server->reload_what || !server->reload_again;
  server->reload_what = more ? what : server->reload_what;
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
  reload->what = what;
  note_files(server, &reload->reads_keys, &reload->reads_certificate);
  if (what == RELOAD_ALL) {
    reload->reads_keys = server->options.api_keys != NULL;
    reload->reads_certificate = server->certificate != NULL;
  }
  arena_init(&reload->arena, 0);
  server->reloading = true;
  uv_queue_work(&server->loop, &reload->task, read_all, all_read);
}
