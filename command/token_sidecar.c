#include "token_sidecar.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "token_name.h"
#include "token_record.h"
#include "views.h"

enum vqct_status token_sidecar_open(struct token_sidecar *sidecar, const char *path,
                                    const char *suffix, struct vqct_error *error) {
  char *name = token_name_beside(path, strlen(path) - strlen(suffix), ".jsonl");
  *sidecar = (struct token_sidecar){0};
  if (!name)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", path);
  enum vqct_status status = byte_stream_open(name, TOKEN_LINE_MAX, &sidecar->stream, error);
  free(name);
  return status == VQCT_OK ? VQCT_OK
                           : error_prefix(error, "%s: the .jsonl beside it cannot be read", path);
}

void token_sidecar_close(struct token_sidecar *sidecar) {
  byte_stream_close(sidecar->stream);
  json_decref(sidecar->record);
  *sidecar = (struct token_sidecar){0};
}

static enum vqct_status fault(const struct token_sidecar *sidecar, const char *what,
                              struct vqct_error *error) {
  return error_set(error, VQCT_DATA, "%s: line %llu: %s", byte_stream_name(sidecar->stream),
                   (unsigned long long)sidecar->text.number, what);
}

/* The next line; its record is NULL at the end. */
static enum vqct_status read_line(struct token_sidecar *sidecar, struct vqct_error *error) {
  struct text_line *text = &sidecar->text;
  json_decref(sidecar->record);
  sidecar->record = NULL;
  enum vqct_status status = byte_stream_line(sidecar->stream, text, error);
  if (status != VQCT_OK || !text->text)
    return status;
  sidecar->record = text->cut ? NULL : json_loadb(text->text, text->length, 0, NULL);
  return json_is_object(sidecar->record) ? VQCT_OK : fault(sidecar, "not a JSON object", error);
}

/* ---- the first line -------------------------------------------------------------------------- */

/* Tokens are numbers of one model's codes, and mean nothing to another. */
static enum vqct_status check_model(const json_t *record, const char *path,
                                    const struct vqct_model_info *model, struct vqct_error *error) {
  const char *checksum = json_string_value(json_object_get(record, "checksum"));
  const char *name = json_string_value(json_object_get(record, "model"));
  if (!checksum || strcmp(checksum, model->checksum) == 0)
    return VQCT_OK;
  return error_set(error, VQCT_OTHER_MODEL,
                   "%s: its tokens are of the model '%.64s' (checksum %.12s), not of '%s' (%.12s)",
                   path, name ? name : "?", checksum, model->name, model->checksum);
}

/* How a picture's numbers lie, where the line says that they are not just its planes. */
static enum vqct_status read_layout(const struct token_sidecar *sidecar, struct token_set *set,
                                    struct vqct_error *error) {
  const json_t *layout = json_object_get(sidecar->record, "layout");
  set->layout = (struct token_layout)TOKEN_LAYOUT_PLAIN;
  if (!layout || token_layout_from_json(layout, &set->layout, error) == VQCT_OK)
    return VQCT_OK;
  return error_prefix(error, "%s: line 1", byte_stream_name(sidecar->stream));
}

/* Rows of each file: pictures times views; 0 where it is not told or no such number. */
static size_t shard_rows(const json_t *record) {
  const json_t *views = json_object_get(json_object_get(record, "views"), "count");
  json_int_t pictures = json_integer_value(json_object_get(record, "shard_size"));
  json_int_t each = views ? json_integer_value(views) : 1;
  bool possible =
      pictures > 0 && pictures <= UINT32_MAX && each > 0 && each <= 2 * VIEWS_RANDOM_MAX;
  return possible ? (size_t)pictures * (size_t)each : 0;
}

enum vqct_status token_sidecar_describe(struct token_sidecar *sidecar,
                                        const struct vqct_model_info *model, bool any_model,
                                        struct token_set *set, bool *buckets,
                                        struct vqct_error *error) {
  enum vqct_status status = read_line(sidecar, error);
  if (status != VQCT_OK)
    return status;
  const json_t *record = sidecar->record;
  const char *type = json_string_value(json_object_get(record, "tokens"));
  if (!type || (strcmp(type, "uint16") && strcmp(type, "uint32")))
    return fault(sidecar, "\"tokens\" must be \"uint16\" or \"uint32\"", error);
  sidecar->totals_due = json_object_get(record, "format") != NULL;
  set->type = strcmp(type, "uint16") ? TENSOR_U32 : TENSOR_U16;
  set->planes = json_array_size(json_object_get(record, "planes"));
  set->shard_rows = shard_rows(record);
  *buckets = json_array_size(json_object_get(json_object_get(record, "views"), "buckets")) > 0;
  if (set->planes != model->planes)
    return error_set(error, VQCT_TOKENS, "%s: %zu planes; the model has %u", set->path, set->planes,
                     model->planes);
  status = read_layout(sidecar, set, error);
  return status || any_model ? status : check_model(record, set->path, model, error);
}

/* ---- whose it is ----------------------------------------------------------------------------- */

/* Of a set in this format, or of one from before the line told it. */
static bool is_of_format(const json_t *record, const char *format) {
  const char *told = json_string_value(json_object_get(record, "format"));
  return json_object_get(record, "planes") && (!told || strcmp(told, format) == 0);
}

static enum vqct_status check_first_line(struct token_sidecar *sidecar, const char *path,
                                         const char *format, struct vqct_error *error) {
  enum vqct_status status = read_line(sidecar, error);
  if (status == VQCT_OK && (!sidecar->text.text || is_of_format(sidecar->record, format)))
    return VQCT_OK;
  if (status != VQCT_OK && status != VQCT_DATA)
    return status;
  const char *told = json_string_value(json_object_get(sidecar->record, "format"));
  return error_set(error, VQCT_WRITE,
                   "%s: %s is there already, %s%.32s: choose another name, or remove it", path,
                   byte_stream_name(sidecar->stream),
                   told ? "of tokens in the format " : "and not of tokens", told ? told : "");
}

enum vqct_status token_sidecar_check(const char *path, const char *suffix, const char *format,
                                     struct vqct_error *error) {
  struct token_sidecar sidecar;
  enum vqct_status status = token_sidecar_open(&sidecar, path, suffix, error);
  if (status == VQCT_OK)
    status = check_first_line(&sidecar, path, format, error);
  token_sidecar_close(&sidecar);
  return status;
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* Compares the totals with the lines before them. */
static enum vqct_status read_totals(struct token_sidecar *sidecar, struct vqct_error *error) {
  const json_t *views = json_object_get(sidecar->record, "views");
  json_int_t rows =
      json_integer_value(views ? views : json_object_get(sidecar->record, "pictures"));
  sidecar->totals_due = false;
  if (rows >= 0 && (uint64_t)rows == sidecar->rows)
    return VQCT_OK;
  return fault(sidecar, "other pictures than the lines before it count", error);
}

/* Reads on to a picture's line; those of pictures that failed and the last have no tokens. */
static enum vqct_status read_picture(struct token_sidecar *sidecar, struct vqct_error *error) {
  enum vqct_status status;
  while ((status = read_line(sidecar, error)) == VQCT_OK && sidecar->record) {
    if (json_object_get(sidecar->record, "passed_over"))
      status = read_totals(sidecar, error);
    else if (!json_object_get(sidecar->record, "error"))
      return VQCT_OK;
    if (status != VQCT_OK)
      return status;
  }
  if (status == VQCT_OK && sidecar->totals_due)
    return error_set(error, VQCT_DATA, "%s: it is cut off: its last line, of totals, is missing",
                     byte_stream_name(sidecar->stream));
  return status;
}

enum vqct_status token_sidecar_next(struct token_sidecar *sidecar, const struct token_set *set,
                                    struct token_line *line, struct vqct_error *error) {
  *line = (struct token_line){0};
  enum vqct_status status = read_picture(sidecar, error);
  if (status != VQCT_OK || !sidecar->record)
    return status;
  const json_t *grid = json_object_get(sidecar->record, "grid");
  json_int_t height = json_integer_value(json_array_get(grid, 0));
  json_int_t width = json_integer_value(json_array_get(grid, 1));
  if (height < 1 || width < 1 || height > TOKEN_GRID_MAX || width > TOKEN_GRID_MAX)
    return fault(sidecar, "\"grid\" is missing or out of range", error);
  *line = (struct token_line){.record = sidecar->record,
                              .row = sidecar->rows++,
                              .height = (size_t)height,
                              .width = (size_t)width};
  line->numbers = token_layout_length(&set->layout, set->planes, line->height, line->width);
  return VQCT_OK;
}
