/* GET /metrics and /metrics/codes, on the second port. */
#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "service.h"

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* ---- the process ----------------------------------------------------------------------------- */

double service_resident_bytes(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  unsigned long size, resident = 0;
  if (file && fscanf(file, "%lu %lu", &size, &resident) != 2)
    resident = 0;
  if (file)
    fclose(file);
  return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double open_files(void) {
  DIR *folder = opendir("/proc/self/fd");
  double count = 0;
  if (!folder)
    return 0;
  for (const struct dirent *entry; (entry = readdir(folder));)
    count += entry->d_name[0] != '.';
  closedir(folder);
  return count - 1; /* without the folder itself */
}

static double cpu_seconds(void) {
  struct rusage used;
  if (getrusage(RUSAGE_SELF, &used))
    return 0;
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static double open_files_max(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit))
    return 0;
  return limit.rlim_cur == RLIM_INFINITY ? INFINITY : (double)limit.rlim_cur;
}

/* ---- gauges that are read when asked for ----------------------------------------------------- */

static void read_queue(struct service *service, const struct listener *api) {
  struct registry *registry = service->registry;
  struct queue_status queue;
  struct workers_status workers;
  struct reservation held = admission_held(&service->admission);
  queue_read(service->queue, &queue);
  workers_read(service->workers, &workers);
  registry_set(registry, METRIC_IN_FLIGHT, "", api->exchange_count);
  registry_set(registry, METRIC_CONNECTIONS, "", api->connection_count);
  registry_set(registry, METRIC_QUEUE_IMAGES, "", (double)queue.images);
  registry_set(registry, METRIC_QUEUE_BYTES, "", (double)held.bytes);
  registry_set(registry, METRIC_QUEUE_PIXELS, "", (double)held.pixels);
  registry_set(registry, METRIC_WORKERS_BUSY, "", workers.busy);
}

static void read_cache(struct service *service) {
  struct registry *registry = service->registry;
  struct cache_status cache = {0};
  if (service->cache)
    cache = cache_read(service->cache);
  registry_set(registry, METRIC_CACHE_HITS, "", (double)cache.hits);
  registry_set(registry, METRIC_CACHE_MISSES, "", (double)cache.misses);
  registry_set(registry, METRIC_CACHE_EVICTIONS, "", (double)cache.evictions);
  registry_set(registry, METRIC_CACHE_BYTES, "", (double)cache.bytes);
}

static void read_plane(struct service *service, const struct engine *engine,
                       const struct vqct_plane *plane, enum usage_window window,
                       const uint64_t *counts) {
  struct registry *registry = service->registry;
  const uint64_t *training = engine->training + plane->first;
  struct vqct_codebook_health health;
  char labels[192];
  vqct_codebook_health(counts + plane->first, plane->count, &health);
  snprintf(labels, sizeof labels, "codebook=\"%s\",window=\"%s\",model=\"%s\"", plane->name,
           usage_window_name(window), engine->name);
  registry_set(registry, METRIC_CODEBOOK_TOKENS, labels, (double)health.tokens);
  if (!health.tokens)
    return;
  registry_set(registry, METRIC_CODEBOOK_USAGE, labels, health.usage);
  registry_set(registry, METRIC_CODEBOOK_PERPLEXITY, labels, health.perplexity);
  registry_set(registry, METRIC_CODEBOOK_DEAD, labels, (double)health.dead);
  registry_set(registry, METRIC_CODEBOOK_DRIFT, labels,
               vqct_codebook_drift(counts + plane->first, training, plane->count));
}

/* A window without a token has no usage, and is left out: 0 and all codes dead would be a fault. */
static void read_codebooks(struct service *service, const struct engine *engine) {
  uint64_t *counts = calloc(engine->info->codes, sizeof *counts);
  if (!counts)
    return;
  for (int window = 0; window < USAGE_WINDOWS; window++) {
    usage_counts(engine->usage, (enum usage_window)window, uv_hrtime(), counts);
    for (uint32_t p = 0; p < engine->info->planes; p++)
      read_plane(service, engine, &engine->info->plane[p], (enum usage_window)window, counts);
  }
  for (uint32_t p = 0; p < engine->info->planes; p++) {
    char labels[160];
    snprintf(labels, sizeof labels, "codebook=\"%s\",model=\"%s\"", engine->info->plane[p].name,
             engine->name);
    registry_set(service->registry, METRIC_CODEBOOK_CODES, labels, engine->info->plane[p].count);
  }
  free(counts);
}

static void read_model(struct service *service, const struct engine *engine) {
  char labels[320], name[64];
  size_t i = 0;
  for (const char *c = engine->info->name; *c && i + 1 < sizeof name; c++)
    name[i++] = isalnum((unsigned char)*c) || *c == '-' || *c == '.' ? *c : '_';
  name[i] = '\0';
  snprintf(labels, sizeof labels, "name=\"%s\",checksum=\"%s\",model=\"%s\"", name,
           engine->info->checksum, engine->name);
  registry_set(service->registry, METRIC_MODEL_INFO, labels, 1);
}

/* Models may have come and gone since these were last read. */
static void read_models(struct service *service) {
  registry_clear(service->registry, METRIC_MODEL_INFO);
  for (size_t metric = METRIC_CODEBOOK_CODES; metric <= METRIC_CODEBOOK_DRIFT; metric++)
    registry_clear(service->registry, metric);
  for (size_t i = 0; i < service->models->count; i++) {
    read_codebooks(service, service->models->engines[i]);
    read_model(service, service->models->engines[i]);
  }
}

static void read_process(struct service *service) {
  struct registry *registry = service->registry;
  char labels[64];
  snprintf(labels, sizeof labels, "version=\"%s\"", vqct_version());
  registry_set(registry, METRIC_READY, "", !service_not_ready(service));
  registry_set(registry, METRIC_BUILD_INFO, labels, 1);
  registry_set(registry, METRIC_START_TIME, "", (double)service->started);
  registry_set(registry, METRIC_RESIDENT_BYTES, "", service_resident_bytes());
  registry_set(registry, METRIC_LOG_LOST, "", (double)service->log.lost_total);
  registry_set(registry, METRIC_CPU_SECONDS, "", cpu_seconds());
  registry_set(registry, METRIC_OPEN_FILES, "", open_files());
  registry_set(registry, METRIC_OPEN_FILES_MAX, "", open_files_max());
}

void metrics_handle(void *context, struct exchange *exchange) {
  struct service *service = context;
  read_queue(service, service->api);
  read_cache(service);
  read_models(service);
  read_process(service);
  exchange->reply.status = 200;
  exchange->reply.type = PROMETHEUS_TYPE;
  registry_write(service->registry, &exchange->reply.body);
}

/* ---- every code ------------------------------------------------------------------------------ */

static void add_label_value(struct text *text, const char *value) {
  for (; *value; value++) {
    if (*value == '\\' || *value == '"')
      text_add(text, "\\", 1);
    if (*value == '\n')
      text_add(text, "\\n", 2);
    else
      text_add(text, value, 1);
  }
}

/* Codes that were never picked are left out: they would be most of the page. */
static bool write_codes(struct text *text, const struct engine *engine) {
  uint64_t *counts = calloc(engine->info->codes, sizeof *counts);
  if (!counts)
    return false;
  usage_counts(engine->usage, USAGE_PROCESS, uv_hrtime(), counts);
  for (uint32_t token = 0; token < engine->info->codes; token++) {
    struct vqct_code code;
    if (!counts[token] || !vqct_model_code(engine->model, token, &code))
      continue;
    text_print(text, "vqct_code_tokens_total{token=\"%u\",part_of_speech=\"%s\",word=\"", token,
               vqct_part_of_speech_name(code.part));
    add_label_value(text, code.word);
    text_print(text, "\",model=\"%s\"} %llu\n", engine->name, (unsigned long long)counts[token]);
  }
  free(counts);
  return true;
}

void metrics_codes_handle(void *context, struct exchange *exchange) {
  const struct service *service = context;
  struct text *text = &exchange->reply.body;
  exchange->reply.status = 200;
  exchange->reply.type = PROMETHEUS_TYPE;
  text_print(text, "# HELP vqct_code_tokens_total Tokens of each code that was picked.\n"
                   "# TYPE vqct_code_tokens_total counter\n");
  for (size_t i = 0; i < service->models->count; i++)
    if (!write_codes(text, service->models->engines[i])) {
      reply_problem(&exchange->reply, PROBLEM_OUT_OF_MEMORY, "no memory for the histogram");
      return;
    }
}
