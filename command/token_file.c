/* Files of tokens, opened: a table of where each picture's tokens are, which an array's shape or a
 * sidecar's lines fill in, and which, with the layout that the sidecar tells, is all that reading
 * looks at. Nothing of it is believed before
 * it is compared with the size of the file, and every token with its plane's codes. */
#include "token_file.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "byte_stream.h"
#include "error.h"
#include "mapped_file.h"
#include "npy.h"
#include "size.h"
#include "token_formats.h"
#include "token_layout.h"
#include "token_record.h"

#define GRID_MAX 32768 /* tokens a side */

/* Where one picture's tokens are. */
struct grid {
  uint64_t offset; /* bytes from the first number of the file */
  uint32_t height, width;
};

struct token_file {
  const char *path; /* for messages, while it is opened */
  const struct vqct_model_info *model;
  bool any_model;            /* tokens of another model are taken too */
  struct npy npy;            /* .npy */
  struct mapped_file mapped; /* .bin */
  const unsigned char *data;
  uint64_t size; /* bytes of data */
  enum tensor_type type;
  struct token_layout layout;
  struct grid *grid;
  size_t count, capacity;
  char **name; /* of named pictures; fewer than count where their sidecar is of other tokens */
  size_t named, names;
};

/* ---- numbers --------------------------------------------------------------------------------- */

static bool is_whole_number(enum tensor_type type) {
  switch (type) {
  case TENSOR_U8:
  case TENSOR_U16:
  case TENSOR_U32:
  case TENSOR_U64:
  case TENSOR_I8:
  case TENSOR_I16:
  case TENSOR_I32:
  case TENSOR_I64:
    return true;
  default:
    return false;
  }
}

/* A little-endian number; a negative one becomes larger than any token. */
static uint64_t read_number(const unsigned char *bytes, enum tensor_type type) {
  size_t size = tensor_type_size(type);
  bool is_signed =
      type == TENSOR_I8 || type == TENSOR_I16 || type == TENSOR_I32 || type == TENSOR_I64;
  uint64_t value = 0;
  for (size_t i = 0; i < size; i++)
    value |= (uint64_t)bytes[i] << 8 * i;
  return is_signed && bytes[size - 1] & 0x80 ? UINT64_MAX : value;
}

/* Token `plane, row, column` of a picture, as its file has it. */
static uint64_t read_token(const struct token_file *file, size_t picture, uint32_t plane,
                           uint32_t row, uint32_t column) {
  const struct grid *grid = &file->grid[picture];
  uint64_t place = token_layout_place(&file->layout, file->model->planes, grid->height, grid->width,
                                      plane, row, column);
  return read_number(file->data + grid->offset + place * tensor_type_size(file->type), file->type);
}

static enum vqct_status check_picture(const struct token_file *file, size_t picture,
                                      struct vqct_error *error) {
  const struct grid *grid = &file->grid[picture];
  for (uint32_t p = 0; p < file->model->planes; p++) {
    const struct vqct_plane *plane = &file->model->plane[p];
    uint64_t first = plane->first + (uint64_t)file->layout.offset;
    for (uint32_t row = 0; row < grid->height; row++)
      for (uint32_t column = 0; column < grid->width; column++) {
        uint64_t token = read_token(file, picture, p, row, column);
        if (token < first || token - first >= plane->count)
          return error_set(error, VQCT_TOKENS,
                           "%s: picture %zu, plane %u, row %u, column %u: token %lld is outside "
                           "the plane's codes, %llu to %llu",
                           file->path, picture, p, row, column, (long long)token,
                           (unsigned long long)first,
                           (unsigned long long)(first + plane->count - 1));
      }
  }
  return VQCT_OK;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static enum vqct_status add_grid(struct token_file *file, struct grid grid,
                                 struct vqct_error *error) {
  if (file->count == file->capacity) {
    size_t capacity = file->capacity ? 2 * file->capacity : 256;
    struct grid *grown = realloc(file->grid, capacity * sizeof *grown);
    if (!grown)
      return error_set(error, VQCT_MEMORY, "%s: no memory for %zu pictures", file->path, capacity);
    file->grid = grown;
    file->capacity = capacity;
  }
  file->grid[file->count++] = grid;
  return VQCT_OK;
}

static enum vqct_status open_array(struct token_file *file, struct vqct_error *error) {
  enum vqct_status status = npy_open(file->path, &file->npy, error);
  if (status != VQCT_OK)
    return status;
  const struct tensor *tensor = &file->npy.tensor;
  if (!is_whole_number(tensor->type))
    return error_set(error, VQCT_TOKENS, "%s: tokens must be whole numbers, not %s", file->path,
                     tensor_type_name(tensor->type));
  if (tensor->dims != 3 && tensor->dims != 4)
    return error_set(error, VQCT_TOKENS,
                     "%s: %d dimensions; tokens have four: pictures, planes, rows, columns",
                     file->path, tensor->dims);
  const size_t *shape = tensor->shape + tensor->dims - 3;
  size_t pictures = tensor->dims == 4 ? tensor->shape[0] : 1;
  if (shape[0] != file->model->planes)
    return error_set(error, VQCT_TOKENS, "%s: %zu planes; the model has %u", file->path, shape[0],
                     file->model->planes);
  if (shape[1] < 1 || shape[2] < 1 || shape[1] > GRID_MAX || shape[2] > GRID_MAX)
    return error_set(error, VQCT_TOKENS,
                     "%s: a grid of %zu x %zu tokens; from 1 to %d a side are "
                     "possible",
                     file->path, shape[2], shape[1], GRID_MAX);
  file->data = tensor->data;
  file->type = tensor->type;
  uint64_t bytes = shape[0] * shape[1] * shape[2] * tensor_type_size(tensor->type);
  for (size_t i = 0; i < pictures && status == VQCT_OK; i++)
    status =
        add_grid(file, (struct grid){i * bytes, (uint32_t)shape[1], (uint32_t)shape[2]}, error);
  return status;
}

static enum vqct_status add_name(struct token_file *file, const json_t *record,
                                 struct vqct_error *error) {
  const char *image = json_string_value(json_object_get(record, "image"));
  if (file->named == file->names) {
    size_t names = file->names ? 2 * file->names : 256;
    char **grown = realloc(file->name, names * sizeof *grown);
    if (!grown)
      return error_set(error, VQCT_MEMORY, "%s: no memory for %zu names", file->path, names);
    file->name = grown;
    file->names = names;
  }
  char *name = strdup(image ? image : "");
  if (!name)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", file->path);
  file->name[file->named++] = name;
  return VQCT_OK;
}

static enum vqct_status sidecar_fault(const struct byte_stream *sidecar,
                                      const struct text_line *line, const char *fault,
                                      struct vqct_error *error) {
  return error_set(error, VQCT_DATA, "%s: line %llu: %s", byte_stream_name(sidecar),
                   (unsigned long long)line->number, fault);
}

/* Tokens are numbers of one model's codes, and mean nothing to another. */
static enum vqct_status check_model(const struct token_file *file, const json_t *record,
                                    struct vqct_error *error) {
  const char *checksum = json_string_value(json_object_get(record, "checksum"));
  const char *name = json_string_value(json_object_get(record, "model"));
  if (file->any_model || !checksum || strcmp(checksum, file->model->checksum) == 0)
    return VQCT_OK;
  return error_set(error, VQCT_OTHER_MODEL,
                   "%s: its tokens are of the model '%.64s' (checksum %.12s), not of '%s' (%.12s)",
                   file->path, name ? name : "?", checksum, file->model->name,
                   file->model->checksum);
}

/* How a picture's numbers lie, where the first line says that they are not just its planes. */
static enum vqct_status read_layout(struct token_file *file, const json_t *record,
                                    const struct byte_stream *sidecar, struct vqct_error *error) {
  const json_t *layout = json_object_get(record, "layout");
  if (!layout || token_layout_from_json(layout, &file->layout, error) == VQCT_OK)
    return VQCT_OK;
  return error_prefix(error, "%s: line 1", byte_stream_name(sidecar));
}

/* The first line tells the type of the numbers. */
static enum vqct_status read_description(struct token_file *file, const json_t *record,
                                         const struct byte_stream *sidecar,
                                         const struct text_line *line, struct vqct_error *error) {
  const char *type = json_string_value(json_object_get(record, "tokens"));
  size_t planes = json_array_size(json_object_get(record, "planes"));
  if (!type || (strcmp(type, "uint16") && strcmp(type, "uint32")))
    return sidecar_fault(sidecar, line, "\"tokens\" must be \"uint16\" or \"uint32\"", error);
  if (planes != file->model->planes)
    return error_set(error, VQCT_TOKENS, "%s: %zu planes; the model has %u", file->path, planes,
                     file->model->planes);
  file->type = strcmp(type, "uint16") ? TENSOR_U32 : TENSOR_U16;
  enum vqct_status status = read_layout(file, record, sidecar, error);
  return status == VQCT_OK ? check_model(file, record, error) : status;
}

static enum vqct_status read_entry(struct token_file *file, const json_t *record,
                                   const struct byte_stream *sidecar, const struct text_line *line,
                                   struct vqct_error *error) {
  if (json_object_get(record, "error") || json_object_get(record, "passed_over"))
    return VQCT_OK;
  const json_t *grid = json_object_get(record, "grid");
  json_int_t height = json_integer_value(json_array_get(grid, 0));
  json_int_t width = json_integer_value(json_array_get(grid, 1));
  json_int_t offset = json_integer_value(json_object_get(record, "offset"));
  if (height < 1 || width < 1 || height > GRID_MAX || width > GRID_MAX || offset < 0)
    return sidecar_fault(sidecar, line, "\"grid\" or \"offset\" is missing or out of range", error);
  uint64_t bytes =
      token_layout_length(&file->layout, file->model->planes, (size_t)height, (size_t)width) *
      tensor_type_size(file->type);
  if ((uint64_t)offset > file->size || bytes > file->size - (uint64_t)offset)
    return error_set(error, VQCT_TOKENS,
                     "%s: %llu bytes; the tokens of picture %zu end at byte %llu", file->path,
                     (unsigned long long)file->size, file->count,
                     (unsigned long long)((uint64_t)offset + bytes));
  enum vqct_status status =
      add_grid(file, (struct grid){(uint64_t)offset, (uint32_t)height, (uint32_t)width}, error);
  return status == VQCT_OK ? add_name(file, record, error) : status;
}

static enum vqct_status read_sidecar(struct token_file *file, struct byte_stream *sidecar,
                                     struct vqct_error *error) {
  struct text_line line;
  enum vqct_status status;
  while ((status = byte_stream_line(sidecar, &line, error)) == VQCT_OK && line.text) {
    json_t *record = line.cut ? NULL : json_loadb(line.text, line.length, 0, NULL);
    if (!json_is_object(record))
      status = sidecar_fault(sidecar, &line, "not a JSON object", error);
    else if (line.number == 1)
      status = read_description(file, record, sidecar, &line, error);
    else
      status = read_entry(file, record, sidecar, &line, error);
    json_decref(record);
    if (status != VQCT_OK)
      break;
  }
  return status;
}

/* NAME and another suffix in place of the path's, from malloc. */
static char *beside(const char *path, const char *suffix) {
  return token_name_beside(path, (size_t)(strrchr(path, '.') - path), suffix);
}

/* Finds the pictures in `data` and `size` by the sidecar's lines. */
static enum vqct_status find_pictures(struct token_file *file, struct vqct_error *error) {
  struct byte_stream *sidecar;
  char *name = beside(file->path, ".jsonl");
  if (!name)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", file->path);
  enum vqct_status status = byte_stream_open(name, TOKEN_LINE_MAX, &sidecar, error);
  free(name);
  if (status != VQCT_OK)
    return status;
  status = read_sidecar(file, sidecar, error);
  byte_stream_close(sidecar);
  return status;
}

/* Numbers without a header: of the path itself, or of NAME.bin beside NAME.idx. */
static enum vqct_status open_raw(struct token_file *file, const char *numbers,
                                 struct vqct_error *error) {
  enum vqct_status status = numbers ? mapped_file_open(numbers, &file->mapped, error)
                                    : error_set(error, VQCT_MEMORY, "memory is exhausted");
  if (status != VQCT_OK)
    return status;
  file->data = file->mapped.data;
  file->size = file->mapped.size;
  return find_pictures(file, error);
}

static enum vqct_status open_megatron(struct token_file *file, struct vqct_error *error) {
  char *numbers = beside(file->path, ".bin");
  enum vqct_status status = open_raw(file, numbers, error);
  free(numbers);
  return status;
}

/* An array whose numbers lie as its sidecar says. */
static enum vqct_status open_arranged(struct token_file *file, struct vqct_error *error) {
  enum vqct_status status = npy_open(file->path, &file->npy, error);
  if (status != VQCT_OK)
    return status;
  const struct tensor *tensor = &file->npy.tensor;
  file->data = tensor->data;
  file->size = (uint64_t)tensor->count * tensor_type_size(tensor->type);
  status = find_pictures(file, error);
  if (status == VQCT_OK && file->type != tensor->type)
    return error_set(error, VQCT_TOKENS, "%s: its numbers are %s, and its .jsonl tells of %s",
                     file->path, tensor_type_name(tensor->type), tensor_type_name(file->type));
  return status;
}

/* The .jsonl beside an array, where there is one that describes tokens: their model and layout, and
 * of planes the names. */
static enum vqct_status read_names(struct token_file *file, struct byte_stream *sidecar,
                                   struct vqct_error *error) {
  struct text_line line;
  enum vqct_status status = VQCT_OK;
  while (status == VQCT_OK && byte_stream_line(sidecar, &line, NULL) == VQCT_OK && line.text) {
    json_t *record = line.cut ? NULL : json_loadb(line.text, line.length, 0, NULL);
    if (json_object_get(record, "row") && json_object_get(record, "grid"))
      status = add_name(file, record, error);
    json_decref(record);
  }
  return status;
}

static enum vqct_status read_beside(struct token_file *file, struct byte_stream *sidecar,
                                    struct vqct_error *error) {
  struct text_line line;
  if (byte_stream_line(sidecar, &line, NULL) != VQCT_OK || !line.text || line.cut)
    return VQCT_OK;
  json_t *record = json_loadb(line.text, line.length, 0, NULL);
  bool described = json_object_get(record, "tokens");
  enum vqct_status status = described ? read_layout(file, record, sidecar, error) : VQCT_OK;
  if (described && status == VQCT_OK)
    status = check_model(file, record, error);
  json_decref(record);
  if (!described || status != VQCT_OK || !token_layout_is_plain(&file->layout))
    return status;
  return read_names(file, sidecar, error);
}

static enum vqct_status check_sidecar(struct token_file *file, struct vqct_error *error) {
  char *name = beside(file->path, ".jsonl");
  struct byte_stream *sidecar = NULL;
  if (!name)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", file->path);
  enum vqct_status status = VQCT_OK;
  if (byte_stream_open(name, TOKEN_LINE_MAX, &sidecar, NULL) == VQCT_OK)
    status = read_beside(file, sidecar, error);
  byte_stream_close(sidecar);
  free(name);
  return status;
}

static enum vqct_status open_checked_array(struct token_file *file, struct vqct_error *error) {
  enum vqct_status status = check_sidecar(file, error);
  if (status != VQCT_OK)
    return status;
  return token_layout_is_plain(&file->layout) ? open_array(file, error)
                                              : open_arranged(file, error);
}

static enum vqct_status open_by_suffix(struct token_file *file, struct vqct_error *error) {
  const struct token_format *format;
  enum vqct_status status = token_format_of(file->path, &format, error);
  if (status != VQCT_OK)
    return status;
  if (!format->array)
    return error_set(error, VQCT_INVALID, "%s: what is decoded ends in " TOKEN_SUFFIXES_READ,
                     file->path);
  if (format == &token_format_npy)
    return open_checked_array(file, error);
  return format == &token_format_megatron ? open_megatron(file, error)
                                          : open_raw(file, file->path, error);
}

static enum vqct_status open_and_check(struct token_file *file, struct vqct_error *error) {
  enum vqct_status status = open_by_suffix(file, error);
  for (size_t i = 0; i < file->count && status == VQCT_OK; i++)
    status = check_picture(file, i, error);
  return status;
}

enum vqct_status token_file_open(const char *path, const struct vqct_model_info *model,
                                 bool any_model, struct token_file **result,
                                 struct vqct_error *error) {
  *result = NULL;
  struct token_file *file = calloc(1, sizeof *file);
  if (!file)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", path);
  file->path = path;
  file->model = model;
  file->any_model = any_model;
  file->layout = (struct token_layout)TOKEN_LAYOUT_PLAIN;
  enum vqct_status status = open_and_check(file, error);
  if (status != VQCT_OK) {
    token_file_close(file);
    return status;
  }
  *result = file;
  return VQCT_OK;
}

void token_file_close(struct token_file *file) {
  if (!file)
    return;
  npy_close(&file->npy);
  mapped_file_close(&file->mapped);
  free(file->grid);
  for (size_t i = 0; i < file->named; i++)
    free(file->name[i]);
  free(file->name);
  free(file);
}

size_t token_file_count(const struct token_file *file) {
  return file->count;
}

void token_file_grid(const struct token_file *file, size_t picture, uint32_t *height,
                     uint32_t *width) {
  *height = file->grid[picture].height;
  *width = file->grid[picture].width;
}

/* Names of another number of pictures are of other tokens. */
const char *token_file_name(const struct token_file *file, size_t picture) {
  return file->named == file->count ? file->name[picture] : NULL;
}

void token_file_read(const struct token_file *file, size_t picture, uint32_t *tokens) {
  const struct grid *grid = &file->grid[picture];
  for (uint32_t p = 0; p < file->model->planes; p++)
    for (uint32_t row = 0; row < grid->height; row++)
      for (uint32_t column = 0; column < grid->width; column++)
        *tokens++ =
            (uint32_t)(read_token(file, picture, p, row, column) - (uint64_t)file->layout.offset);
}
