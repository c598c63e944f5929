/* Lists are short, so names and checksums are found by walking; a list of one reference each on its
 * engines is what keeps a model open while any request may still look it up. */
#include "models.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

static enum vqct_status check(struct engine *const *engines, size_t count,
                              struct vqct_error *error) {
  if (!count)
    return error_set(error, VQCT_INVALID, "no model is left to serve");
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < i; j++)
      if (!strcmp(engines[i]->name, engines[j]->name))
        return error_set(error, VQCT_INVALID, "%s and %s are both named %s: give NAME=FILE",
                         engines[j]->path, engines[i]->path, engines[i]->name);
  return VQCT_OK;
}

enum vqct_status models_new(struct engine *const *engines, size_t count, struct models **models,
                            struct vqct_error *error) {
  *models = NULL;
  enum vqct_status status = check(engines, count, error);
  if (status != VQCT_OK)
    goto failed;
  *models = malloc(sizeof **models + count * sizeof *engines);
  if (!*models) {
    status = error_set(error, VQCT_MEMORY, "no memory for the list of models");
    goto failed;
  }
  (*models)->references = 1;
  (*models)->count = count;
  memcpy((*models)->engines, engines, count * sizeof *engines);
  return VQCT_OK;
failed:
  for (size_t i = 0; i < count; i++)
    engine_release(engines[i]);
  return status;
}

struct models *models_retain(struct models *models) {
  models->references++;
  return models;
}

void models_release(struct models *models) {
  if (!models || --models->references)
    return;
  for (size_t i = 0; i < models->count; i++)
    engine_release(models->engines[i]);
  free(models);
}

struct engine *models_find(const struct models *models, const char *name) {
  if (!name)
    return models->engines[0];
  for (size_t i = 0; i < models->count; i++)
    if (!strcmp(models->engines[i]->name, name))
      return models->engines[i];
  return NULL;
}

struct engine *models_of_checksum(const struct models *models, const char *checksum) {
  for (size_t i = 0; i < models->count; i++)
    if (!strcmp(models->engines[i]->info->checksum, checksum))
      return models->engines[i];
  return NULL;
}
