/* libyaml's events, and a stack of the mappings and lists that are open, each with its latest key:
 * whether a scalar is a key or a value is told by the place alone. */
#include "yaml_scalars.h"

#include <stdbool.h>
#include <stdio.h>
#include <yaml.h>

#include "error.h"
#include "mapped_file.h"

#define SIZE_MOST  ((size_t)1 << 20) /* bytes */
#define DEPTH_MOST 64
#define KEY_BYTES  64

/* One mapping or sequence around the place where the parser is. */
struct level {
  bool mapping, at_key;
  char key[KEY_BYTES];
};

struct walk {
  const char *path;
  struct level level[DEPTH_MOST];
  int depth;
  bool ended;
  yaml_scalar *take;
  void *context;
  struct vqct_error *error;
};

static enum vqct_status open_level(struct walk *w, bool mapping) {
  if (w->depth == DEPTH_MOST)
    return error_set(w->error, VQCT_MODEL, "%s: nested deeper than %d", w->path, DEPTH_MOST);
  struct level *level = &w->level[w->depth];
  *level = (struct level){.mapping = mapping, .at_key = mapping};
  if (!mapping && w->depth) /* the items of a list stand under the list's key */
    snprintf(level->key, KEY_BYTES, "%s", level[-1].key);
  w->depth++;
  return VQCT_OK;
}

/* A value is complete. */
static void end_value(struct walk *w) {
  if (w->depth && w->level[w->depth - 1].mapping)
    w->level[w->depth - 1].at_key = !w->level[w->depth - 1].at_key;
}

static void take_scalar(struct walk *w, const char *text) {
  struct level *level = w->depth ? &w->level[w->depth - 1] : NULL;
  if (level && level->at_key)
    snprintf(level->key, KEY_BYTES, "%s", text);
  else
    w->take(w->context, level ? level->key : "", text);
  end_value(w);
}

static enum vqct_status take_event(struct walk *w, const yaml_event_t *event) {
  switch (event->type) {
  case YAML_SCALAR_EVENT:
    take_scalar(w, (const char *)event->data.scalar.value);
    return VQCT_OK;
  case YAML_ALIAS_EVENT:
    end_value(w);
    return VQCT_OK;
  case YAML_MAPPING_START_EVENT:
  case YAML_SEQUENCE_START_EVENT:
    return open_level(w, event->type == YAML_MAPPING_START_EVENT);
  case YAML_MAPPING_END_EVENT:
  case YAML_SEQUENCE_END_EVENT:
    w->depth--;
    end_value(w);
    return VQCT_OK;
  default:
    w->ended = event->type == YAML_STREAM_END_EVENT;
    return VQCT_OK;
  }
}

static enum vqct_status walk(struct walk *w, yaml_parser_t *parser) {
  enum vqct_status status = VQCT_OK;
  while (!status && !w->ended) {
    yaml_event_t event;
    if (!yaml_parser_parse(parser, &event))
      return parser->error == YAML_MEMORY_ERROR || !parser->problem
                 ? error_set(w->error, VQCT_MEMORY, "%s: memory is exhausted", w->path)
                 : error_set(w->error, VQCT_MODEL, "%s:%zu: %s", w->path,
                             parser->problem_mark.line + 1, parser->problem);
    status = take_event(w, &event);
    yaml_event_delete(&event);
  }
  return status;
}

enum vqct_status yaml_scalars(const char *path, yaml_scalar *take, void *context,
                              struct vqct_error *error) {
  struct mapped_file file;
  struct walk w = {.path = path, .take = take, .context = context, .error = error};
  yaml_parser_t parser;
  enum vqct_status status = mapped_file_open(path, &file, error);
  if (status)
    return status;
  if (file.size > SIZE_MOST)
    status = error_set(error, VQCT_MODEL, "%s: larger than %zu bytes", path, SIZE_MOST);
  else if (!yaml_parser_initialize(&parser))
    status = error_set(error, VQCT_MEMORY, "%s: memory is exhausted", path);
  if (!status) {
    yaml_parser_set_input_string(&parser, file.size ? file.data : (const unsigned char *)"",
                                 file.size);
    status = walk(&w, &parser);
    yaml_parser_delete(&parser);
  }
  mapped_file_close(&file);
  return status;
}
