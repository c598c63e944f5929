/* The models that --model asks for, and how the list that is served follows them. */
#ifndef COMMAND_SERVE_MODELS_H
#define COMMAND_SERVE_MODELS_H

#include "arena.h"
#include "models.h"
#include "serve_options.h"

/** One value of --model. */
struct model_spec {
  const char *name; /* NULL: after the model */
  const char *path;
};

struct model_specs {
  struct model_spec *items;
  size_t count;
};

/** Reads each NAME=FILE or FILE. What begins with '/' or '.' is a file, whatever else is in it.
 * They live in the arena. Errors: INVALID (none is there, a name is not sound or stands twice),
 * MEMORY. */
enum vqct_status model_specs_read(const struct option_list *list, struct model_specs *specs,
                                  struct arena *arena, struct vqct_error *error);

/** Of a list, the engine that was opened for this; NULL where none was. */
struct engine *model_spec_engine(const struct model_spec *spec, const struct models *models);

/** Opens one. May run on any thread. */
enum vqct_status model_spec_open(const struct model_spec *spec, const struct serve_options *options,
                                 atomic_bool *stop, struct engine **engine,
                                 struct vqct_error *error);

/** Opens all, for a list of their own. */
enum vqct_status model_specs_open(const struct model_specs *specs,
                                  const struct serve_options *options, atomic_bool *stop,
                                  struct models **models, struct vqct_error *error);

#endif
