/* GET /v1/codebook and below: how healthy the codebooks are, and what their codes mean. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "accept.h"
#include "choice.h"
#include "npy.h"

#define TOP_CODES     20 /* most used codes that are listed */
#define NEAREST_CODES 10

/* Planes of the same codes (two adjectives) are one codebook. */
static bool is_first_of_codebook(const struct vqct_model_info *info, uint32_t plane) {
  for (uint32_t p = 0; p < plane; p++)
    if (info->plane[p].first == info->plane[plane].first)
      return false;
  return true;
}

static bool has_training(const uint64_t *counts, size_t codes) {
  for (size_t i = 0; i < codes; i++)
    if (counts[i])
      return true;
  return false;
}

/* ---- JSON parts ------------------------------------------------------------------------------ */

static void add_code(struct text *text, const struct engine *engine, uint32_t token) {
  struct vqct_code code;
  bool known = vqct_model_code(engine->model, token, &code);
  text_print(text, "\"token\":%u,\"word\":", token);
  text_add_json(text, known ? code.word : "");
}

static void add_window(struct text *text, const struct engine *engine,
                       const struct vqct_plane *plane, const uint64_t *counts) {
  struct vqct_codebook_health health;
  vqct_codebook_health(counts + plane->first, plane->count, &health);
  text_print(text,
             "{\"tokens\":%llu,\"used\":%llu,\"dead\":%llu,\"usage\":%.6f,\"entropy\":%.6f,"
             "\"perplexity\":%.6f,\"drift\":",
             (unsigned long long)health.tokens, (unsigned long long)health.used,
             (unsigned long long)health.dead, health.usage, health.entropy, health.perplexity);
  double drift = NAN;
  if (has_training(engine->training + plane->first, plane->count))
    drift =
        vqct_codebook_drift(counts + plane->first, engine->training + plane->first, plane->count);
  if (isnan(drift))
    text_print(text, "null}");
  else
    text_print(text, "%.6f}", drift);
}

/* The most used codes of a plane, by repeated search: the list is short. */
static void add_top(struct text *text, const struct engine *engine, const struct vqct_plane *plane,
                    uint64_t *counts) {
  for (size_t listed = 0; listed < TOP_CODES; listed++) {
    uint32_t best = plane->first;
    for (uint32_t token = plane->first; token < plane->first + plane->count; token++)
      if (counts[token] > counts[best])
        best = token;
    if (!counts[best])
      return;
    text_print(text, listed ? ",{" : "{");
    add_code(text, engine, best);
    text_print(text, ",\"count\":%llu}", (unsigned long long)counts[best]);
    counts[best] = 0;
  }
}

/* The window that is asked for; `training`, where it is allowed, is USAGE_WINDOWS. */
static bool read_window(struct exchange *exchange, bool training, enum usage_window *window) {
  static const char *const names[] = {"window", "model", NULL};
  const char *given = exchange_query(exchange, "window");
  if (!exchange_check_query(exchange, names))
    return false;
  *window = training && given && !strcmp(given, "training") ? USAGE_WINDOWS : USAGE_PROCESS;
  if (!given || *window == USAGE_WINDOWS)
    return true;
  for (int i = 0; i < USAGE_WINDOWS; i++)
    if (!strcmp(given, usage_window_name((enum usage_window)i))) {
      *window = (enum usage_window)i;
      return true;
    }
  reply_problem(&exchange->reply, PROBLEM_BAD_PARAMETER,
                "window is '%.20s': process, 1m, 10m%s 1h%s is allowed", given,
                training ? "," : " or", training ? " or training" : "");
  return false;
}

static void add_codebook(struct text *text, const struct engine *engine,
                         const struct vqct_plane *plane, enum usage_window top, uint64_t *counts) {
  uint64_t now = uv_hrtime();
  text_print(text, "{\"name\":\"%s\",\"first\":%u,\"codes\":%u,\"windows\":{", plane->name,
             plane->first, plane->count);
  for (int window = USAGE_WINDOWS - 1; window >= 0; window--) {
    usage_counts(engine->usage, (enum usage_window)window, now, counts);
    text_print(text, "\"%s\":", usage_window_name((enum usage_window)window));
    add_window(text, engine, plane, counts);
    text_print(text, window ? "," : "},\"top\":[");
  }
  usage_counts(engine->usage, top, now, counts);
  add_top(text, engine, plane, counts);
  text_print(text, "]}");
}

static uint64_t *make_counts(struct exchange *exchange, const struct engine *engine) {
  uint64_t *counts = calloc(engine->info->codes, sizeof *counts);
  if (!counts)
    reply_problem(&exchange->reply, PROBLEM_OUT_OF_MEMORY, "no memory for the histogram");
  return counts;
}

void codebook_handle(void *context, struct exchange *exchange) {
  struct service *service = context;
  enum usage_window top;
  if (!read_window(exchange, false, &top))
    return;
  const struct engine *engine = choice_of_query(service, exchange);
  uint64_t *counts = engine ? make_counts(exchange, engine) : NULL;
  if (!counts)
    return;
  const struct vqct_model_info *info = engine->info;
  struct text *text = &exchange->reply.body;
  exchange->reply.status = 200;
  exchange->reply.type = "application/json";
  text_print(text, "{\"codebooks\":[");
  for (uint32_t p = 0; p < info->planes; p++) {
    if (!is_first_of_codebook(info, p))
      continue;
    text_print(text, p ? "," : "");
    add_codebook(text, engine, &info->plane[p], top, counts);
  }
  text_print(text, "]}\n");
  free(counts);
}

/* ---- the histogram --------------------------------------------------------------------------- */

static void write_histogram(struct reply *reply, bool npy, const uint64_t *counts, size_t codes) {
  reply->status = 200;
  reply->type = npy ? "application/x-npy" : "application/json";
  if (npy) {
    char header[NPY_HEADER_SIZE];
    npy_header(TENSOR_U64, 1, &codes, header);
    text_add(&reply->body, header, sizeof header);
    for (size_t i = 0; i < codes; i++)
      for (unsigned shift = 0; shift < 64; shift += 8) {
        unsigned char byte = (unsigned char)(counts[i] >> shift);
        text_add(&reply->body, &byte, 1);
      }
    return;
  }
  text_print(&reply->body, "{\"counts\":[");
  for (size_t i = 0; i < codes; i++)
    text_print(&reply->body, "%s%llu", i ? "," : "", (unsigned long long)counts[i]);
  text_print(&reply->body, "]}\n");
}

void codebook_usage_handle(void *context, struct exchange *exchange) {
  static const char *const offers[] = {"application/json", "application/x-npy"};
  struct service *service = context;
  enum usage_window window;
  if (!read_window(exchange, true, &window))
    return;
  int form = accept_choose(exchange_header(exchange, "Accept"), offers, 2);
  if (form < 0) {
    reply_problem(&exchange->reply, PROBLEM_NOT_ACCEPTABLE, "offered: %s, %s", offers[0],
                  offers[1]);
    return;
  }
  const struct engine *engine = choice_of_query(service, exchange);
  uint64_t *counts = engine ? make_counts(exchange, engine) : NULL;
  if (!counts)
    return;
  if (window == USAGE_WINDOWS)
    memcpy(counts, engine->training, engine->info->codes * sizeof *counts);
  else
    usage_counts(engine->usage, window, uv_hrtime(), counts);
  write_histogram(&exchange->reply, form == 1, counts, engine->info->codes);
  free(counts);
}

/* ---- one code -------------------------------------------------------------------------------- */

static bool read_token(struct exchange *exchange, uint32_t codes, uint32_t *token) {
  const char *given = exchange->parameter;
  size_t length = strlen(given);
  bool sound = length <= 9 && strspn(given, "0123456789") == length;
  *token = sound ? (uint32_t)strtoul(given, NULL, 10) : codes;
  if (*token < codes)
    return true;
  reply_problem(&exchange->reply, PROBLEM_NOT_FOUND, "codes are numbered 0 to %u", codes - 1);
  return false;
}

static void add_counts(struct text *text, const struct engine *engine, uint32_t token,
                       uint64_t *counts) {
  uint64_t now = uv_hrtime();
  for (int window = 0; window < USAGE_WINDOWS; window++) {
    usage_counts(engine->usage, (enum usage_window)window, now, counts);
    text_print(text, "\"%s\":%llu,", usage_window_name((enum usage_window)window),
               (unsigned long long)counts[token]);
  }
  text_print(text, "\"training\":%llu", (unsigned long long)engine->training[token]);
}

static void add_nearest(struct text *text, const struct engine *engine, uint32_t token) {
  uint32_t tokens[NEAREST_CODES];
  float distances[NEAREST_CODES];
  size_t found = vqct_model_nearest(engine->model, token, NEAREST_CODES, tokens, distances);
  for (size_t i = 0; i < found; i++) {
    text_print(text, i ? ",{" : "{");
    add_code(text, engine, tokens[i]);
    text_print(text, ",\"distance\":%.6g}", (double)distances[i]);
  }
}

void codebook_code_handle(void *context, struct exchange *exchange) {
  static const char *const names[] = {"model", NULL};
  struct service *service = context;
  uint32_t token;
  struct vqct_code code;
  if (!exchange_check_query(exchange, names))
    return;
  const struct engine *engine = choice_of_query(service, exchange);
  if (!engine || !read_token(exchange, engine->info->codes, &token) ||
      !vqct_model_code(engine->model, token, &code))
    return;
  uint64_t *counts = make_counts(exchange, engine);
  if (!counts)
    return;
  struct text *text = &exchange->reply.body;
  exchange->reply.status = 200;
  exchange->reply.type = "application/json";
  text_add(text, "{", 1);
  add_code(text, engine, token);
  text_print(text, ",\"part_of_speech\":\"%s\",\"counts\":{", vqct_part_of_speech_name(code.part));
  add_counts(text, engine, token, counts);
  text_print(text, "},\"nearest\":[");
  add_nearest(text, engine, token);
  text_print(text, "]}\n");
  free(counts);
}
