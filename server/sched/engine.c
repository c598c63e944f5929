#include "engine.h"

#include <stdlib.h>

#include "error.h"

static void engine_close(struct engine *engine) {
  for (unsigned i = 0; engine->sessions && i < engine->workers; i++)
    vqct_session_free(engine->sessions[i]);
  free(engine->sessions);
  vqct_session_free(engine->together);
  vqct_model_close(engine->model);
  usage_free(engine->usage);
  free(engine->training);
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

static enum vqct_status make_sessions(struct engine *engine, unsigned threads, atomic_bool *stop,
                                      struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  for (unsigned i = 0; i < engine->workers && status == VQCT_OK; i++)
    status =
        vqct_session_new(engine->model, threads / engine->workers, &engine->sessions[i], error);
  if (status == VQCT_OK && engine->workers > 1)
    status = vqct_session_new(engine->model, threads, &engine->together, error);
  if (status != VQCT_OK)
    return status;
  for (unsigned i = 0; i < engine->workers; i++)
    vqct_session_stop_when(engine->sessions[i], is_set, stop);
  if (engine->together)
    vqct_session_stop_when(engine->together, is_set, stop);
  return VQCT_OK;
}

static void copy_training_counts(struct engine *engine) {
  for (uint32_t token = 0; token < engine->info->codes; token++) {
    struct vqct_code code;
    if (vqct_model_code(engine->model, token, &code))
      engine->training[token] = code.training_count;
  }
}

enum vqct_status engine_open(const char *path, unsigned workers, unsigned threads,
                             atomic_bool *stop, struct engine **engine, struct vqct_error *error) {
  *engine = NULL;
  struct engine *opened = calloc(1, sizeof *opened);
  if (!opened)
    return error_set(error, VQCT_MEMORY, "%s: no memory for the model", path);
  enum vqct_status status = vqct_model_open(path, &opened->model, error);
  if (status != VQCT_OK)
    goto failed;
  opened->calls = (struct engine_calls){vqct_encode, vqct_decode};
  opened->info = vqct_model_info(opened->model);
  opened->references = 1;
  opened->opened = time(NULL);
  if ((status = check_model(opened->info, path, error)) != VQCT_OK)
    goto failed;
  opened->workers = workers;
  opened->sessions = calloc(workers, sizeof(struct vqct_session *));
  opened->usage = usage_new(opened->info->codes);
  opened->training = calloc(opened->info->codes, sizeof *opened->training);
  if (!opened->sessions || !opened->usage || !opened->training) {
    status = error_set(error, VQCT_MEMORY, "%s: no memory for the model's counters", path);
    goto failed;
  }
  if ((status = make_sessions(opened, threads, stop, error)) != VQCT_OK)
    goto failed;
  copy_training_counts(opened);
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
