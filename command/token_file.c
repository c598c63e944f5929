/* A set of tokens, opened: a table of where each picture's numbers are, which an array's shape or a
 * sidecar's lines fill in, and which, with the layout that the sidecar tells, is all that reading
 * looks at. Nothing of it is believed before it is compared with what the files hold, and every
 * token with its plane's codes. */
#include "token_file.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "npy.h"
#include "token_formats.h"
#include "token_numbers.h"
#include "token_sidecar.h"

/* One picture. */
struct place {
  struct token_bytes bytes;
  uint32_t height, width;
  char *name; /* owned; NULL: not told */
};

struct token_file {
  const char *path; /* for messages */
  const struct vqct_model_info *model;
  bool any_model; /* tokens of another model are taken too */
  struct token_set set;
  struct npy npy; /* an array that tells its shape itself, or */
  const struct token_reading *reading;
  struct token_reader *reader;
  struct token_numbers numbers; /* of the last picture that was text */
  struct place *place;
  size_t count, capacity;
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

/* The numbers of a picture, as bytes of a type. */
struct row {
  const unsigned char *bytes;
  enum tensor_type type;
};

static enum vqct_status no_tokens(const struct token_file *file, size_t picture,
                                  struct vqct_error *error) {
  return error_set(error, VQCT_TOKENS,
                   "%s: picture %zu: its line is no object of JSON with as many \"tokens\" as the "
                   ".jsonl tells",
                   file->path, picture);
}

/* The list of a line of JSON into numbers of 32 bits. */
static enum vqct_status pack_list(struct token_file *file, size_t picture, const json_t *list,
                                  struct vqct_error *error) {
  const struct place *place = &file->place[picture];
  size_t count = json_array_size(list);
  if (count !=
      token_layout_length(&file->set.layout, file->set.planes, place->height, place->width))
    return no_tokens(file, picture, error);
  uint32_t *values = malloc(count * sizeof *values);
  enum vqct_status status =
      values ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory for tokens");
  for (size_t i = 0; i < count && status == VQCT_OK; i++) {
    const json_t *number = json_array_get(list, i);
    json_int_t value = json_integer_value(number);
    if (!json_is_integer(number) || value < 0 || value > UINT32_MAX)
      status = no_tokens(file, picture, error);
    values[i] = (uint32_t)value;
  }
  if (status == VQCT_OK)
    status = token_numbers_pack(&file->numbers, values, count, true, error);
  free(values);
  return status;
}

static enum vqct_status read_text(struct token_file *file, size_t picture,
                                  struct vqct_error *error) {
  const struct token_bytes *text = &file->place[picture].bytes;
  json_t *record = json_loadb((const char *)text->data, text->size, 0, NULL);
  enum vqct_status status = pack_list(file, picture, json_object_get(record, "tokens"), error);
  json_decref(record);
  return status;
}

/* The numbers of a picture, which stay until those of another are asked for. */
static enum vqct_status find_row(struct token_file *file, size_t picture, struct row *row,
                                 struct vqct_error *error) {
  *row = (struct row){file->place[picture].bytes.data, file->set.type};
  if (!file->reading || !file->reading->text)
    return VQCT_OK;
  enum vqct_status status = read_text(file, picture, error);
  *row = (struct row){file->numbers.bytes, TENSOR_U32};
  return status;
}

/* Token `plane, row, column` of a picture, as its file has it. */
static uint64_t read_token(const struct token_file *file, const struct place *place,
                           const struct row *numbers, uint32_t plane, uint32_t row,
                           uint32_t column) {
  uint64_t at = token_layout_place(&file->set.layout, file->model->planes, place->height,
                                   place->width, plane, row, column);
  return read_number(numbers->bytes + at * tensor_type_size(numbers->type), numbers->type);
}

static enum vqct_status check_picture(struct token_file *file, size_t picture,
                                      struct vqct_error *error) {
  const struct place *place = &file->place[picture];
  struct row numbers;
  enum vqct_status status = find_row(file, picture, &numbers, error);
  if (status != VQCT_OK)
    return status;
  for (uint32_t p = 0; p < file->model->planes; p++) {
    const struct vqct_plane *plane = &file->model->plane[p];
    uint64_t first = plane->first + (uint64_t)file->set.layout.offset;
    for (uint32_t row = 0; row < place->height; row++)
      for (uint32_t column = 0; column < place->width; column++) {
        uint64_t token = read_token(file, place, &numbers, p, row, column);
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

/* ---- pictures -------------------------------------------------------------------------------- */

static enum vqct_status add_place(struct token_file *file, const struct place *place,
                                  struct vqct_error *error) {
  if (file->count == file->capacity) {
    size_t capacity = file->capacity ? 2 * file->capacity : 256;
    struct place *grown = realloc(file->place, capacity * sizeof *grown);
    if (!grown)
      return error_set(error, VQCT_MEMORY, "%s: no memory for %zu pictures", file->path, capacity);
    file->place = grown;
    file->capacity = capacity;
  }
  file->place[file->count++] = *place;
  return VQCT_OK;
}

static enum vqct_status set_name(struct place *place, const json_t *record,
                                 struct vqct_error *error) {
  const char *image = json_string_value(json_object_get(record, "image"));
  place->name = strdup(image ? image : "");
  return place->name ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory for names");
}

/* ---- arrays that tell their shape ------------------------------------------------------------ */

static enum vqct_status open_array(struct token_file *file, struct vqct_error *error) {
  enum vqct_status status = npy_open(file->path, &file->npy, error);
  if (status != VQCT_OK)
    return status;
  const struct tensor *tensor = &file->npy.tensor;
  if (!is_whole_number(tensor->type))
    return error_set(error, VQCT_TOKENS, "%s: tokens must be whole numbers, not %s", file->path,
                     tensor_type_name(tensor->type));
  if (tensor->dims != 3 && tensor->dims != 4)
    return error_set(
        error, VQCT_TOKENS,
        "%s: %d dimensions; tokens have four, pictures, planes, rows and columns, or a "
        ".jsonl beside them that tells their layout",
        file->path, tensor->dims);
  const size_t *shape = tensor->shape + tensor->dims - 3;
  size_t pictures = tensor->dims == 4 ? tensor->shape[0] : 1;
  if (shape[0] != file->model->planes)
    return error_set(error, VQCT_TOKENS, "%s: %zu planes; the model has %u%s", file->path, shape[0],
                     file->model->planes,
                     shape[2] == file->model->planes
                         ? ": an array of --layout interleaved is read with the .jsonl beside it"
                         : "");
  if (shape[1] < 1 || shape[2] < 1 || shape[1] > TOKEN_GRID_MAX || shape[2] > TOKEN_GRID_MAX)
    return error_set(error, VQCT_TOKENS,
                     "%s: a grid of %zu x %zu tokens; from 1 to %d a side are "
                     "possible",
                     file->path, shape[2], shape[1], TOKEN_GRID_MAX);
  file->set.type = tensor->type;
  size_t bytes = shape[0] * shape[1] * shape[2] * tensor_type_size(tensor->type);
  const unsigned char *data = tensor->data;
  for (size_t i = 0; i < pictures && status == VQCT_OK; i++) {
    const struct place place = {.bytes = {data + i * bytes, bytes},
                                .height = (uint32_t)shape[1],
                                .width = (uint32_t)shape[2]};
    status = add_place(file, &place, error);
  }
  return status;
}

/* The names of an array's pictures, where the .jsonl tells of as many. */
static void name_pictures(struct token_file *file, struct token_sidecar *sidecar) {
  struct token_line line;
  size_t named = 0;
  while (token_sidecar_next(sidecar, &file->set, &line, NULL) == VQCT_OK && line.record) {
    if (named < file->count && set_name(&file->place[named], line.record, NULL) != VQCT_OK)
      break;
    named++;
  }
  for (size_t i = 0; named != file->count && i < file->count; i++) {
    free(file->place[i].name);
    file->place[i].name = NULL;
  }
}

/* ---- sets that their sidecar tells of -------------------------------------------------------- */

/* A place for each picture that the sidecar has. */
static enum vqct_status list_places(struct token_file *file, struct token_sidecar *sidecar,
                                    struct vqct_error *error) {
  struct token_line line;
  enum vqct_status status;
  while ((status = token_sidecar_next(sidecar, &file->set, &line, error)) == VQCT_OK &&
         line.record) {
    struct place place = {.height = (uint32_t)line.height, .width = (uint32_t)line.width};
    if ((status = file->reading->find(file->reader, &line, &place.bytes, error)) ||
        (status = set_name(&place, line.record, error)))
      return status;
    if ((status = add_place(file, &place, error))) {
      free(place.name);
      return status;
    }
  }
  return status;
}

static enum vqct_status open_set(struct token_file *file, const struct token_format *format,
                                 struct token_sidecar *sidecar, struct vqct_error *error) {
  file->reading = format->reading;
  enum vqct_status status = file->reading->open(&file->set, &file->reader, error);
  return status == VQCT_OK ? list_places(file, sidecar, error) : status;
}

/* An array needs its .jsonl only where that says more than its shape does. */
static enum vqct_status open_npy(struct token_file *file, const struct token_format *format,
                                 struct token_sidecar *sidecar, struct vqct_error *error) {
  struct token_set *set = &file->set;
  bool buckets = false;
  enum vqct_status status =
      token_sidecar_describe(sidecar, file->model, file->any_model, set, &buckets, error);
  if (!json_is_string(json_object_get(sidecar->record, "tokens"))) /* it is of something else */
    return open_array(file, error);
  if (status != VQCT_OK)
    return status;
  if (buckets || !token_layout_is_plain(&set->layout))
    return open_set(file, format, sidecar, error);
  status = open_array(file, error);
  if (status == VQCT_OK)
    name_pictures(file, sidecar);
  return status;
}

static enum vqct_status open_by_suffix(struct token_file *file, struct token_sidecar *sidecar,
                                       struct vqct_error *error) {
  const struct token_format *format;
  bool buckets;
  enum vqct_status status = token_format_of(file->path, &format, error);
  if (status != VQCT_OK)
    return status;
  bool is_npy = format == &token_format_npy;
  status = token_sidecar_open(sidecar, file->path, format->suffix, error);
  if (is_npy)
    return status == VQCT_OK ? open_npy(file, format, sidecar, error) : open_array(file, error);
  if (status || (status = token_sidecar_describe(sidecar, file->model, file->any_model, &file->set,
                                                 &buckets, error)))
    return status;
  return open_set(file, format, sidecar, error);
}

static enum vqct_status open_and_check(struct token_file *file, struct vqct_error *error) {
  struct token_sidecar sidecar = {0};
  enum vqct_status status = open_by_suffix(file, &sidecar, error);
  token_sidecar_close(&sidecar);
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
  file->set =
      (struct token_set){.path = path, .layout = TOKEN_LAYOUT_PLAIN, .planes = model->planes};
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
  if (file->reader)
    file->reading->close(file->reader);
  npy_close(&file->npy);
  token_numbers_free(&file->numbers);
  for (size_t i = 0; i < file->count; i++)
    free(file->place[i].name);
  free(file->place);
  free(file);
}

size_t token_file_count(const struct token_file *file) {
  return file->count;
}

void token_file_grid(const struct token_file *file, size_t picture, uint32_t *height,
                     uint32_t *width) {
  *height = file->place[picture].height;
  *width = file->place[picture].width;
}

const char *token_file_name(const struct token_file *file, size_t picture) {
  return file->place[picture].name;
}

enum vqct_status token_file_read(struct token_file *file, size_t picture, uint32_t *tokens,
                                 struct vqct_error *error) {
  const struct place *place = &file->place[picture];
  struct row numbers;
  enum vqct_status status = find_row(file, picture, &numbers, error);
  if (status != VQCT_OK)
    return status;
  for (uint32_t p = 0; p < file->model->planes; p++)
    for (uint32_t row = 0; row < place->height; row++)
      for (uint32_t column = 0; column < place->width; column++)
        *tokens++ = (uint32_t)(read_token(file, place, &numbers, p, row, column) -
                               (uint64_t)file->set.layout.offset);
  return VQCT_OK;
}
