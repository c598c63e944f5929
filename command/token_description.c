#include "token_description.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "error.h"
#include "token_record.h"

/* Sets a member of an object; takes the value, which may be NULL. */
static bool set(json_t *object, const char *key, json_t *value) {
  return json_object_set_new(object, key, value) == 0;
}

static json_t *planes_json(const struct vqct_model_info *model) {
  json_t *planes = json_array();
  for (uint32_t i = 0; i < model->planes; i++)
    json_array_append_new(planes, json_pack("{s:s, s:I, s:I}", "name", model->plane[i].name,
                                            "first", (json_int_t)model->plane[i].first, "count",
                                            (json_int_t)model->plane[i].count));
  return planes;
}

/* The list of pictures as three numbers; and a fourth for which label each has. */
static json_t *pictures_json(const struct token_description *about) {
  uLong names = crc32(0, NULL, 0), changes = names, classes = names;
  size_t count = pictures_count(about->pictures);
  for (size_t i = 0; i < count; i++) {
    const char *name = pictures_name(about->pictures, i);
    uint64_t stamp = pictures_stamp(about->pictures, i);
    names = crc32_z(names, (const Bytef *)name, strlen(name) + 1);
    changes = crc32_z(changes, (const Bytef *)&stamp, sizeof stamp);
    if (about->labels) {
      uint64_t class_index = labels_class(about->labels, i);
      classes = crc32_z(classes, (const Bytef *)&class_index, sizeof class_index);
    }
  }
  json_t *record = json_pack("{s:I, s:I, s:I}", "count", (json_int_t)count, "crc32",
                             (json_int_t)names, "changes", (json_int_t)changes);
  if (about->labels)
    set(record, "classes", json_integer((json_int_t)classes));
  return record;
}

static json_t *labels_json(const struct labels *labels) {
  json_t *names = json_array();
  for (size_t i = 0; i < labels_count(labels); i++)
    if (json_array_append_new(names, token_record_text(labels_name(labels, i))) != 0) {
      json_decref(names);
      return NULL;
    }
  return names;
}

static json_t *views_json(const struct views *views) {
  static const char *const kinds[] = {"center", "ten", "random"};
  json_t *sizes = json_array();
  for (size_t i = 0; i < views->sizes; i++)
    json_array_append_new(sizes, json_pack("[I, I]", (json_int_t)views->size[i].width,
                                           (json_int_t)views->size[i].height));
  json_t *record = json_pack("{s:I, s:s, s:b, s:I, s:o?}", "count", (json_int_t)views_count(views),
                             "crops", kinds[views->kind], "flip", (int)views->flip, "seed",
                             (json_int_t)views->seed, "buckets", sizes);
  if (views->kind == VIEWS_RANDOM)
    set(record, "range", json_pack("[f, f]", views->least, views->most));
  return record;
}

static json_t *describe(const struct token_description *about) {
  static const char *const modes[] = {"cover", "contain", "none"};
  const struct vqct_model_info *model = about->model;
  const struct preparation *p = about->preparation;
  json_t *record = json_pack("{s:s, s:s, s:s, s:s, s:I, s:o?, s:s, s:I, s:I, s:[I, I], s:o?}",
                             "tokens", about->wide ? "uint32" : "uint16", "format", about->format,
                             "model", model->name, "checksum", model->checksum, "downsampling",
                             (json_int_t)model->downsampling, "planes", planes_json(model),
                             "resize", modes[p->resize], "width", (json_int_t)p->width, "height",
                             (json_int_t)p->height, "shard", (json_int_t)about->shard,
                             (json_int_t)about->shards, "pictures", pictures_json(about));
  bool whole = token_layout_is_plain(about->layout) ||
               set(record, "layout", token_layout_to_json(about->layout));
  if (whole && about->views)
    whole = set(record, "views", views_json(about->views));
  if (whole && about->shard_size)
    whole = set(record, "shard_size", json_integer((json_int_t)about->shard_size));
  if (whole && about->labels)
    whole = set(record, "labels", labels_json(about->labels));
  if (whole)
    return record;
  json_decref(record);
  return NULL;
}

enum vqct_status token_description_line(const struct token_description *description, char **line,
                                        struct vqct_error *error) {
  json_t *record = describe(description);
  *line = record ? json_dumps(record, JSON_ENSURE_ASCII) : NULL;
  json_decref(record);
  if (!*line)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  if (strlen(*line) < TOKEN_LINE_MAX)
    return VQCT_OK;
  size_t length = strlen(*line);
  free(*line);
  *line = NULL;
  return error_set(error, VQCT_LIMIT,
                   "--labels: %zu different labels take %zu bytes, and the .jsonl's first line "
                   "holds %zu; are they classes?",
                   description->labels ? labels_count(description->labels) : 0, length,
                   TOKEN_LINE_MAX);
}
