#include "serve_models.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

static enum vqct_status read_spec(const char *text, struct model_spec *spec, struct arena *arena,
                                  struct vqct_error *error) {
  const char *equals = *text == '/' || *text == '.' ? NULL : strchr(text, '=');
  *spec = (struct model_spec){.path = equals ? equals + 1 : text};
  if (!equals)
    return VQCT_OK;
  size_t length = (size_t)(equals - text);
  char *name = arena_alloc(arena, length + 1);
  if (!name)
    return error_set(error, VQCT_MEMORY, "no memory for the options");
  memcpy(name, text, length);
  name[length] = '\0';
  spec->name = name;
  if (!engine_name_sound(name))
    return error_set(error, VQCT_INVALID,
                     "--model: '%.80s' is no name: 1 to %d letters, digits, '.', '_' or '-' are, "
                     "the first a letter or digit",
                     name, ENGINE_NAME_MAX);
  if (!*spec->path)
    return error_set(error, VQCT_INVALID, "--model: %s= has no file", name);
  return VQCT_OK;
}

static enum vqct_status check_twice(const struct model_specs *specs, size_t index,
                                    struct vqct_error *error) {
  const struct model_spec *spec = &specs->items[index];
  for (size_t i = 0; i < index; i++) {
    const struct model_spec *other = &specs->items[i];
    if (spec->name && other->name && !strcmp(spec->name, other->name))
      return error_set(error, VQCT_INVALID, "--model: two models are named %s", spec->name);
    if (!spec->name && !other->name && !strcmp(spec->path, other->path))
      return error_set(error, VQCT_INVALID, "--model: %s is given twice", spec->path);
  }
  return VQCT_OK;
}

enum vqct_status model_specs_read(const struct option_list *list, struct model_specs *specs,
                                  struct arena *arena, struct vqct_error *error) {
  if (!list->count)
    return error_set(error, VQCT_INVALID, "--model FILE is needed");
  specs->count = list->count;
  specs->items = arena_calloc(arena, list->count, sizeof *specs->items);
  if (!specs->items)
    return error_set(error, VQCT_MEMORY, "no memory for the options");
  for (size_t i = 0; i < list->count; i++) {
    enum vqct_status status;
    if ((status = read_spec(list->items[i], &specs->items[i], arena, error)) ||
        (status = check_twice(specs, i, error)))
      return status;
  }
  return VQCT_OK;
}

struct engine *model_spec_engine(const struct model_spec *spec, const struct models *models) {
  if (spec->name)
    return models_find(models, spec->name);
  for (size_t i = 0; i < models->count; i++)
    if (!models->engines[i]->named && !strcmp(models->engines[i]->path, spec->path))
      return models->engines[i];
  return NULL;
}

enum vqct_status model_spec_open(const struct model_spec *spec, const struct serve_options *options,
                                 atomic_bool *stop, struct engine **engine,
                                 struct vqct_error *error) {
  const struct engine_options wanted = {.name = spec->name,
                                        .path = spec->path,
                                        .workers = (unsigned)options->workers,
                                        .threads = (unsigned)options->threads,
                                        .stop = stop};
  return engine_open(&wanted, engine, error);
}

enum vqct_status model_specs_open(const struct model_specs *specs,
                                  const struct serve_options *options, atomic_bool *stop,
                                  struct models **models, struct vqct_error *error) {
  enum vqct_status status;
  size_t opened = 0;
  struct engine **engines = calloc(specs->count, sizeof(struct engine *));
  if (!engines)
    return error_set(error, VQCT_MEMORY, "no memory for the list of models");
  for (; opened < specs->count; opened++)
    if ((status = model_spec_open(&specs->items[opened], options, stop, &engines[opened], error)))
      goto failed;
  status = models_new(engines, opened, models, error);
  free(engines);
  return status;
failed:
  while (opened)
    engine_release(engines[--opened]);
  free(engines);
  return status;
}
