#include "provenance.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

static json_t *file_name(const char *path) {
  const char *slash = strrchr(path, '/');
  json_t *name = json_string(slash ? slash + 1 : path);
  return name ? name : json_string("(a name that is not UTF-8)");
}

static json_t *file_names(const char *const *files, size_t count) {
  json_t *names = json_array();
  for (size_t i = 0; i < count; i++)
    if (json_array_append_new(names, file_name(files[i]))) {
      json_decref(names);
      return NULL;
    }
  return names;
}

static json_t *describe(const struct prior_recipe *recipe, const struct prior_report *report) {
  json_t *note = recipe->note ? json_string(recipe->note) : NULL;
  json_t *object = json_pack(
      "{s:s, s:o, s:I, s:I, s:o, s:I, s:I}", "made_by", "vqct " VQCT_VERSION, "caption_files",
      file_names(recipe->captions, recipe->caption_files), "captions",
      (json_int_t)report->captions.captions, "tokens", (json_int_t)report->tokens, "embeddings",
      file_name(recipe->embeddings), "threshold", (json_int_t)recipe->threshold,
      "words_without_embedding", (json_int_t)(report->part[0].missing + report->part[1].missing));
  if (object && recipe->exclude_files) {
    json_object_set_new(object, "exclude", file_names(recipe->exclude, recipe->exclude_files));
    json_object_set_new(
        object, "excluded",
        json_integer((json_int_t)(report->part[0].excluded + report->part[1].excluded)));
  }
  if (object && note)
    json_object_set(object, "note", note);
  json_decref(note);
  return object;
}

enum vqct_status provenance_write(const struct prior_recipe *recipe,
                                  const struct prior_report *report, struct prior *prior,
                                  struct vqct_error *error) {
  json_t *object = describe(recipe, report);
  char *text = object ? json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
  char *kept = text ? arena_alloc(&prior->memory, strlen(text) + 1) : NULL;
  if (kept)
    prior->provenance = memcpy(kept, text, strlen(text) + 1);
  free(text);
  json_decref(object);
  return kept ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory for the provenance");
}
