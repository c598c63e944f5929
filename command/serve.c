/* `vqct serve`: one loop thread drives both ports; codec threads decode and encode pictures; worker
 * threads compute. */
#define _GNU_SOURCE /* mallopt's parameters */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "command.h"
#include "cpu.h"
#include "error.h"
#include "serve.h"
#include "stages.h"

#define ADMIN_CONNECTIONS 64 /* of the second port */
#define OTHER_FILES       64 /* open beside connections: libraries, logs, a model being loaded */
/* At most: more would make each picture slow long before all are busy. */
#define WORKERS_DEFAULT 4

/* ---- settings -------------------------------------------------------------------------------- */

/* Octal digits of a socket's mode, of which to run or to be of an owner make no sense. */
static bool read_mode(const char *text, unsigned *mode) {
  bool sound = *text && strlen(text) <= 4 && strspn(text, "01234567") == strlen(text);
  *mode = sound ? (unsigned)strtoul(text, NULL, 8) : 0;
  return sound && *mode <= 0777;
}

static enum vqct_status check_options(const struct serve_options *options,
                                      struct vqct_error *error) {
  unsigned mode;
  if (!read_mode(options->socket_mode, &mode))
    return error_set(error, VQCT_INVALID, "socket-mode is '%.20s': 0 to 777 in octal is allowed",
                     options->socket_mode);
  if (!options->tls_certificate != !options->tls_key)
    return error_set(error, VQCT_INVALID,
                     "tls-certificate and tls-key are needed together, or neither");
  if (!options->api_keys && (options->key_rate || options->key_pixel_rate))
    return error_set(error, VQCT_INVALID, "%s limits each of the api-keys, and there are none",
                     options->key_rate ? "key-rate" : "key-pixel-rate");
  if (options->threads && options->workers > options->threads)
    return error_set(error, VQCT_INVALID, "workers is %lld: at most threads, %lld, is allowed",
                     (long long)options->workers, (long long)options->threads);
  return VQCT_OK;
}

/* Numbers in place of the zeros that leave the choice to the server. */
static void choose_numbers(struct serve_options *options) {
  int64_t processors = cpu_count();
  if (!options->threads)
    options->threads = processors > options->workers ? processors : options->workers;
  if (!options->workers)
    options->workers = options->threads < WORKERS_DEFAULT ? options->threads : WORKERS_DEFAULT;
  if (!options->batch_images)
    options->batch_images = options->threads / options->workers;
}

static enum vqct_status read_files(struct server *server, struct vqct_error *error) {
  const struct serve_options *options = &server->options;
  enum vqct_status status;
  if (options->api_keys &&
      (status = keys_read(options->api_keys, &server->service.keys, error)) != VQCT_OK)
    return status;
  if (!options->tls_certificate)
    return VQCT_OK;
  return certificate_read(options->tls_certificate, options->tls_key, &server->certificate, error);
}

/* What the process needs before its first thread: neither a closed socket nor a reload that is
 * asked for before there is anything to reload must kill it, connections need descriptors, libuv
 * reads the size of its pool once, and few malloc arenas keep memory that one thread frees for the
 * next one. */
static void set_up_process(const struct serve_options *options) {
  char count[16];
  snprintf(count, sizeof count, "%d", (int)options->codec_threads);
  setenv("UV_THREADPOOL_SIZE", count, 1);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  struct rlimit files;
  if (!getrlimit(RLIMIT_NOFILE, &files)) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  mallopt(M_ARENA_MAX, 2);
}

/* Connections of the API: as many as configured, or fewer where the process may not open as many
 * files. Without one left, the second port could not answer either, nor a model be loaded. */
static unsigned fit_connections(struct server *server) {
  struct log *log = &server->service.log;
  unsigned asked = (unsigned)server->options.max_connections, fitting = asked;
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files))
    return asked;
  unsigned others = listener_most(ADMIN_CONNECTIONS) + OTHER_FILES;
  while (fitting > 1 && listener_most(fitting) + others > files.rlim_cur)
    fitting--;
  if (fitting < asked)
    log_message(log, LOG_WARNING, "limits",
                "max-connections is %u: the %llu files that may be open have room for %u", asked,
                (unsigned long long)files.rlim_cur, fitting);
  return fitting;
}

/* ---- start ----------------------------------------------------------------------------------- */

static enum vqct_status start_service(struct server *server, const struct model_specs *specs,
                                      struct vqct_error *error) {
  const struct serve_options *options = &server->options;
  struct service *service = &server->service;
  unsigned workers = (unsigned)options->workers;
  struct batch_limits batch = {(size_t)options->batch_images, (uint64_t)options->batch_pixels,
                               (uint64_t)(options->batch_delay * 1e9)};
  struct reservation held = {(size_t)options->queue_images, (uint64_t)options->queue_bytes,
                             (uint64_t)options->queue_pixels};
  service->loop = &server->loop;
  service->api = &server->api;
  service->started = time(NULL);
  service->started_clock = uv_hrtime();
  service->stall_time = options->stall_timeout;
  tasks_init(&service->tasks, &server->loop, (size_t)options->codec_threads);
  enum log_level level = (enum log_level)options->log_level;
  log_open(&service->log, STDERR_FILENO, level,
           options->access_log ? (enum log_level)(options->access_log - 1) : level);
  service->rates = (struct key_rates){(double)options->key_rate, (double)options->key_pixel_rate};
  service->limits.images = (size_t)options->max_images;
  service->limits.pixels = (uint64_t)options->max_pixels;
  service->limits.image = (struct vqct_image_limits)VQCT_IMAGE_LIMITS_DEFAULT;
  service->limits.image.bytes = (uint64_t)options->max_body;
  service->limits.image.pixels = (uint64_t)options->max_image_pixels;
  admission_init(&service->admission, &held);
  service->cache = options->cache_bytes ? cache_new((uint64_t)options->cache_bytes) : NULL;
  if (options->cache_bytes && !service->cache)
    return error_set(error, VQCT_MEMORY, "no memory for the cache");
  service->registry = registry_new(service_metrics, SERVICE_METRICS);
  if (!service->registry)
    return error_set(error, VQCT_MEMORY, "no memory for the metrics");
  service_begin_counters(service->registry);
  enum vqct_status status =
      model_specs_open(specs, options, &service->stop, &service->models, error);
  if (status != VQCT_OK)
    return status;
  for (size_t i = 0; i < service->models->count; i++)
    service_begin_model(service, service->models->engines[i]->name);
  status = queue_new(&batch, workers, &service->queue, error);
  if (status != VQCT_OK)
    return status;
  return workers_new(&server->loop, service->queue, &batch, workers, request_job_done, service,
                     &service->workers, error);
}

static struct listener_options listener_settings(struct server *server) {
  const struct serve_options *options = &server->options;
  return (struct listener_options){.limits = {.connections = ADMIN_CONNECTIONS,
                                              .idle_give_way = true,
                                              .body_bytes = (uint64_t)options->max_body,
                                              .header_time = options->header_timeout,
                                              .body_time = options->body_timeout,
                                              .idle_time = options->idle_timeout,
                                              .write_time = options->write_timeout,
                                              .request_time = options->request_timeout,
                                              .request_time_max = options->request_timeout_max},
                                   .origins = options->cors_origin.items,
                                   .origin_count = options->cors_origin.count,
                                   .keys = &server->service.keys,
                                   .error_member_path = "/v2",
                                   .context = &server->service,
                                   .finished = service_finished};
}

static enum vqct_status start_listeners(struct server *server, struct vqct_error *error) {
  struct listener_options settings = listener_settings(server);
  settings.address = server->options.admin_listen;
  settings.sockets = &server->passed[1];
  read_mode(server->options.socket_mode, &settings.mode);
  settings.routes = service_admin_routes;
  settings.route_count = service_admin_route_count;
  enum vqct_status status = listener_start(&server->admin, &server->loop, &settings, error);
  server->admin_started = status == VQCT_OK;
  if (status != VQCT_OK)
    return status;
  settings.address = server->options.listen;
  settings.sockets = &server->passed[0];
  settings.routes = service_api_routes;
  settings.route_count = service_api_route_count;
  settings.limits.connections = fit_connections(server);
  settings.limits.idle_give_way = false;
  settings.certificate = server->certificate ? &server->certificate : NULL;
  settings.tls_priority = server->options.tls_priority;
  status = listener_start(&server->api, &server->loop, &settings, error);
  server->api_started = status == VQCT_OK;
  return status;
}

static void on_stop(void *server) {
  server_stop(server);
}

static void on_reload(void *server) {
  server_reload(server, RELOAD_ALL);
}

/* Where a listener is, and at which port where it has one. */
static void log_listener(struct text *line, const struct listener *listener, const char *address,
                         const char *port) {
  struct text text = {0};
  sockets_describe(&listener->sockets, &text);
  log_text(line, address, text.data ? text.data : "");
  if (listener->port)
    log_number(line, port, listener->port);
  text_free(&text);
}

static void log_start(struct server *server) {
  struct text line = {0};
  const struct models *models = server->service.models;
  log_begin(&line, LOG_INFO, "ready");
  log_text(&line, "version", vqct_version());
  log_text(&line, "model", models->engines[0]->name);
  log_text(&line, "checksum", models->engines[0]->info->checksum);
  log_number(&line, "models", (double)models->count);
  log_number(&line, "workers", (double)server->options.workers);
  log_number(&line, "threads", (double)server->options.threads);
  log_listener(&line, &server->api, "listen", "port");
  log_listener(&line, &server->admin, "admin_listen", "admin_port");
  log_end(&server->service.log, &line, LOG_INFO);
}

/* ---- end ------------------------------------------------------------------------------------- */

/* Undoes a start that failed; a server that ran has stopped its listeners and workers itself. */
static void stop_early(struct server *server) {
  if (server->api_started)
    listener_stop(&server->api);
  if (server->admin_started)
    listener_stop(&server->admin);
  if (server->service.workers)
    workers_stop(server->service.workers);
  watch_stop(&server->watch);
}

static void server_free(struct server *server) {
  struct service *service = &server->service;
  workers_free(service->workers);
  queue_free(service->queue);
  models_release(service->models);
  sockets_close(&server->passed[0]);
  sockets_close(&server->passed[1]);
  log_close(&service->log);
  registry_free(service->registry);
  cache_free(service->cache);
  keys_free(service->keys);
  certificate_release(server->certificate);
  uv_loop_close(&server->loop);
}

static enum vqct_status start(struct server *server, const struct model_specs *specs,
                              struct vqct_error *error) {
  enum vqct_status status;
  static const char *const names[] = {"listen", "admin-listen"};
  struct listen_sockets *const passed[] = {&server->passed[0], &server->passed[1]};
  if ((status = sockets_take_passed(names, passed, 2, error)) ||
      (status = start_service(server, specs, error)) || (status = start_listeners(server, error)) ||
      (status = watch_follow(&server->watch, error)))
    return status;
  uv_timer_init(&server->loop, &server->drain);
  server->drain.data = server;
  server->signals = (struct serve_signals){.stop = on_stop, .reload = on_reload, .context = server};
  serve_signals_begin(&server->signals, &server->loop);
  log_follow(&server->service.log, &server->loop);
  log_start(server);
  return VQCT_OK;
}

static enum vqct_status run_server(struct server *server, struct arena *arena,
                                   struct vqct_error *error) {
  struct model_specs specs;
  enum vqct_status status;
  if ((status = model_specs_read(&server->options.model, &specs, arena, error)) ||
      (status = check_options(&server->options, error)))
    return status;
  if (server->options.watch)
    server_watch(server, &specs);
  if ((status = read_files(server, error)))
    return status;
  choose_numbers(&server->options);
  set_up_process(&server->options);
  if ((status = start(server, &specs, error)))
    stop_early(server);
  uv_run(&server->loop, UV_RUN_DEFAULT);
  return status;
}

/* The options, and the words that they are from. */
struct serve_words {
  struct serve_options options;
  int argc;
  char **argv;
};

static enum vqct_status serve(const void *settings, const struct options_found *found,
                              struct arena *arena, struct vqct_error *error) {
  const struct serve_words *words = settings;
  struct server server = {
      .options = words->options, .argc = words->argc, .argv = words->argv, .config = found->config};
  uv_loop_init(&server.loop);
  enum vqct_status status = run_server(&server, arena, error);
  server_free(&server);
  return status;
}

static enum vqct_status serve_run(int argc, char **argv, struct vqct_error *error) {
  struct serve_words words = {.argc = argc, .argv = argv};
  return command_run(&serve_option_table, argc, argv, &words, serve, error);
}

const struct command serve_command = {"serve", "serve a model over HTTP", serve_run};
