/* All memory that a model needs while it serves is made when it is opened, so that a model which
 * does not fit is refused there and not in the middle of a request. */
#include "engine.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static void engine_close(struct engine *engine) {
  for (unsigned i = 0; engine->sessions && i < engine->workers; i++)
    vqct_session_free(engine->sessions[i]);
  free(engine->sessions);
  vqct_session_free(engine->together);
  vqct_model_close(engine->model);
  usage_free(engine->usage);
  free(engine->history);
  free(engine->training);
  free(engine->path);
  text_free(&engine->vectors);
  free(engine);
}

/* The server sends 8-bit RGB or grey pictures, and no others. */
static enum vqct_status check_model(const struct vqct_model_info *info, const char *path,
                                    struct vqct_error *error) {
  if (info->channels == 1 || info->channels == 3)
    return VQCT_OK;
  return error_set(error, VQCT_MODEL, "%s: a model of %u channels cannot be served, 1 or 3 can",
                   path, info->channels);
}

static bool is_set(void *flag) {
  return atomic_load_explicit((atomic_bool *)flag, memory_order_relaxed);
}

static enum vqct_status make_sessions(struct engine *engine, const struct engine_options *options,
                                      struct vqct_error *error) {
  unsigned threads = options->threads;
  enum vqct_status status;
  for (unsigned i = 0; i < engine->workers; i++) {
    unsigned share = threads / engine->workers;
    if ((status = vqct_session_new(engine->model, share, &engine->sessions[i], error)) != VQCT_OK)
      return status;
    vqct_session_stop_when(engine->sessions[i], is_set, options->stop);
  }
  if (engine->workers == 1)
    return VQCT_OK;
  if ((status = vqct_session_new(engine->model, threads, &engine->together, error)) != VQCT_OK)
    return status;
  vqct_session_stop_when(engine->together, is_set, options->stop);
  return VQCT_OK;
}

static void copy_training_counts(struct engine *engine) {
  for (uint32_t token = 0; token < engine->info->codes; token++) {
    struct vqct_code code;
    if (vqct_model_code(engine->model, token, &code))
      engine->training[token] = code.training_count;
  }
}

static bool is_name_character(char c) {
  return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

bool engine_name_sound(const char *name) {
  size_t length = 0;
  while (is_name_character(name[length]))
    length++;
  return isalnum((unsigned char)*name) && !name[length] && length <= ENGINE_NAME_MAX;
}

/* A model's own name may be any text: what a name cannot hold becomes '_'. */
static void set_name(struct engine *engine, const char *given) {
  const char *name = given ? given : engine->info->name;
  size_t length = 0;
  engine->named = given != NULL;
  for (; length < ENGINE_NAME_MAX && name[length]; length++)
    engine->name[length] = is_name_character(name[length]) ? name[length] : '_';
  engine->name[length] = '\0';
  if (!isalnum((unsigned char)*engine->name))
    *engine->name = 'm';
}

static enum vqct_status make_counters(struct engine *engine, const char *path,
                                      struct vqct_error *error) {
  engine->sessions = calloc(engine->workers, sizeof(struct vqct_session *));
  engine->usage = usage_new(engine->info->codes);
  engine->history = calloc(1, sizeof *engine->history);
  engine->training = calloc(engine->info->codes, sizeof *engine->training);
  engine->path = strdup(path);
  if (!engine->sessions || !engine->usage || !engine->history || !engine->training || !engine->path)
    return error_set(error, VQCT_MEMORY, "%s: no memory for the model's counters", path);
  copy_training_counts(engine);
  return VQCT_OK;
}

enum vqct_status engine_open(const struct engine_options *options, struct engine **engine,
                             struct vqct_error *error) {
  *engine = NULL;
  struct engine *opened = calloc(1, sizeof *opened);
  if (!opened)
    return error_set(error, VQCT_MEMORY, "%s: no memory for the model", options->path);
  enum vqct_status status = vqct_model_open(options->path, &opened->model, error);
  if (status != VQCT_OK)
    goto failed;
  opened->calls = (struct engine_calls){vqct_encode_vectors, vqct_decode};
  opened->info = vqct_model_info(opened->model);
  opened->references = 1;
  opened->opened = time(NULL);
  opened->workers = options->workers;
  set_name(opened, options->name);
  if ((status = check_model(opened->info, options->path, error)) != VQCT_OK ||
      (status = make_counters(opened, options->path, error)) != VQCT_OK ||
      (status = make_sessions(opened, options, error)) != VQCT_OK)
    goto failed;
  *engine = opened;
  return VQCT_OK;
failed:
  engine_close(opened);
  return status;
}

struct engine *engine_retain(struct engine *engine) {
  engine->references++;
  return engine;
}

void engine_release(struct engine *engine) {
  if (engine && !--engine->references)
    engine_close(engine);
}
