/* The order of the checks is what makes them safe: the length field against the file before the
 * JSON is parsed, each tensor's shape against overflow before it is multiplied by its type's
 * size, its bytes against the file before a view of them is made, and at the end that all views
 * together cover the data once. */
#include "safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "mapped_file.h"
#include "size.h"

#define LENGTH_BYTES 8
#define HEADER_MAX   ((size_t)16 << 20) /* bytes; the largest networks need some hundred KiB */
#define METADATA     "__metadata__"

struct safetensors {
  char *name;                /* of the file, for messages */
  struct mapped_file mapped; /* empty where the bytes are the caller's */
  const unsigned char *data;
  size_t size;
  json_t *header; /* owns the names and texts */
  struct tensor *tensor;
  size_t count;
};

/* What the header is checked against. */
struct body {
  const unsigned char *data;
  size_t size;
};

static enum vqct_status fault(const struct safetensors *file, const char *tensor, const char *what,
                              struct vqct_error *error) {
  return error_set(error, VQCT_MODEL, "%s: tensor \"%.100s\": %s", file->name, tensor, what);
}

/* The length field, checked; *body is what follows the header. */
static enum vqct_status read_length(const struct safetensors *file, size_t *header_size,
                                    struct body *body, struct vqct_error *error) {
  uint64_t length;
  if (file->size < LENGTH_BYTES)
    return error_set(error, VQCT_MODEL, "%s: not a safetensors file: it has %zu bytes", file->name,
                     file->size);
  memcpy(&length, file->data, sizeof length);
  if (length > HEADER_MAX || length > file->size - LENGTH_BYTES)
    return error_set(error, VQCT_MODEL,
                     "%s: not a safetensors file, or truncated: the header's length is %llu, the "
                     "file has %zu bytes and a header at most %zu",
                     file->name, (unsigned long long)length, file->size, HEADER_MAX);
  *header_size = (size_t)length;
  body->data = file->data + LENGTH_BYTES + *header_size;
  body->size = file->size - LENGTH_BYTES - *header_size;
  return VQCT_OK;
}

static enum vqct_status check_metadata(const struct safetensors *file, struct vqct_error *error) {
  json_t *metadata = json_object_get(file->header, METADATA), *value;
  const char *key;
  if (metadata && !json_is_object(metadata))
    return error_set(error, VQCT_MODEL, "%s: " METADATA " is not an object", file->name);
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value))
      return error_set(error, VQCT_MODEL, "%s: " METADATA ": \"%.100s\" is not a string",
                       file->name, key);
  }
  return VQCT_OK;
}

/* A number of the header that is a size: whole and not negative. */
static bool read_size(const json_t *value, size_t *size) {
  if (!json_is_integer(value) || json_integer_value(value) < 0)
    return false;
  *size = (size_t)json_integer_value(value);
  return true;
}

static enum vqct_status read_shape(const struct safetensors *file, const json_t *shape,
                                   struct tensor *tensor, struct vqct_error *error) {
  if (!json_is_array(shape) || json_array_size(shape) > TENSOR_DIMS_MAX)
    return fault(file, tensor->name, "its shape is not a list of at most 8 sizes", error);
  tensor->dims = (int)json_array_size(shape);
  for (int i = 0; i < tensor->dims; i++)
    if (!read_size(json_array_get(shape, (size_t)i), &tensor->shape[i]))
      return fault(file, tensor->name, "its shape has something that is not a size", error);
  if (!tensor_set_count(tensor))
    return fault(file, tensor->name, "its shape is too large", error);
  return VQCT_OK;
}

static enum vqct_status read_entry(const struct safetensors *file, const struct body *body,
                                   const json_t *entry, struct tensor *tensor,
                                   struct vqct_error *error) {
  size_t begin, end;
  if (!json_is_object(entry))
    return fault(file, tensor->name, "its entry is not an object", error);
  const char *type = json_string_value(json_object_get(entry, "dtype"));
  if (!type || !tensor_type_find(type, &tensor->type))
    return fault(file, tensor->name, "its dtype is missing or unknown", error);
  enum vqct_status status = read_shape(file, json_object_get(entry, "shape"), tensor, error);
  if (status)
    return status;
  const json_t *offsets = json_object_get(entry, "data_offsets");
  if (json_array_size(offsets) != 2 || !read_size(json_array_get(offsets, 0), &begin) ||
      !read_size(json_array_get(offsets, 1), &end))
    return fault(file, tensor->name, "its data_offsets are not two sizes", error);
  if (begin > end || end > body->size)
    return fault(file, tensor->name, "its data lies outside the file", error);
  if (end - begin != tensor->count * tensor_type_size(tensor->type))
    return fault(file, tensor->name, "its data's size is not that of its shape and dtype", error);
  tensor->data = body->data + begin;
  return VQCT_OK;
}

static size_t tensor_bytes(const struct tensor *tensor) {
  return tensor->count * tensor_type_size(tensor->type);
}

/* By place, and the empty ones before what starts where they do. */
static int compare_places(const void *a, const void *b) {
  const struct tensor *x = a, *y = b;
  uintptr_t px = (uintptr_t)x->data, py = (uintptr_t)y->data;
  size_t sx = tensor_bytes(x), sy = tensor_bytes(y);
  return px != py ? (px > py) - (px < py) : (sx > sy) - (sx < sy);
}

static int compare_names(const void *a, const void *b) {
  return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

/* The tensors must follow one another from the start of the data to its end. */
static enum vqct_status check_cover(struct safetensors *file, const struct body *body,
                                    struct vqct_error *error) {
  const unsigned char *end = body->data;
  if (file->count > 1)
    qsort(file->tensor, file->count, sizeof *file->tensor, compare_places);
  for (size_t i = 0; i < file->count; i++) {
    const struct tensor *tensor = &file->tensor[i];
    if (tensor->data != end)
      return fault(file, tensor->name,
                   (const unsigned char *)tensor->data < end ? "its data overlaps another tensor's"
                                                             : "there is a gap before its data",
                   error);
    end += tensor_bytes(tensor);
  }
  if (end != body->data + body->size)
    return error_set(error, VQCT_MODEL, "%s: %zu bytes after the last tensor belong to none",
                     file->name, (size_t)(body->data + body->size - end));
  if (file->count > 1)
    qsort(file->tensor, file->count, sizeof *file->tensor, compare_names);
  return VQCT_OK;
}

static enum vqct_status read_tensors(struct safetensors *file, const struct body *body,
                                     struct vqct_error *error) {
  const char *name;
  json_t *entry;
  file->tensor = calloc(json_object_size(file->header) + 1, sizeof *file->tensor);
  if (!file->tensor)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", file->name);
  json_object_foreach(file->header, name, entry) {
    if (strcmp(name, METADATA) == 0)
      continue;
    struct tensor *tensor = &file->tensor[file->count];
    tensor->name = name;
    enum vqct_status status = read_entry(file, body, entry, tensor, error);
    if (status)
      return status;
    file->count++;
  }
  return check_cover(file, body, error);
}

static enum vqct_status read_file(struct safetensors *file, struct vqct_error *error) {
  size_t header_size = 0;
  struct body body = {0};
  json_error_t json_fault;
  enum vqct_status status = read_length(file, &header_size, &body, error);
  if (status)
    return status;
  file->header = json_loadb((const char *)file->data + LENGTH_BYTES, header_size,
                            JSON_REJECT_DUPLICATES, &json_fault);
  if (!file->header)
    return error_set(error, VQCT_MODEL, "%s: header, byte %d: %s", file->name, json_fault.position,
                     json_fault.text);
  if (!json_is_object(file->header))
    return error_set(error, VQCT_MODEL, "%s: the header is not a JSON object", file->name);
  status = check_metadata(file, error);
  return status ? status : read_tensors(file, &body, error);
}

/* Takes over the mapping, also on failure. */
static enum vqct_status file_new(const char *name, struct mapped_file mapped, const void *data,
                                 size_t size, struct safetensors **result,
                                 struct vqct_error *error) {
  struct safetensors *file = calloc(1, sizeof *file);
  *result = NULL;
  if (!file) {
    mapped_file_close(&mapped);
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", name);
  }
  file->mapped = mapped;
  file->data = data;
  file->size = size;
  file->name = strdup(name);
  enum vqct_status status = file->name
                                ? read_file(file, error)
                                : error_set(error, VQCT_MEMORY, "%s: memory is exhausted", name);
  if (status) {
    safetensors_close(file);
    return status;
  }
  *result = file;
  return VQCT_OK;
}

enum vqct_status safetensors_open(const char *path, struct safetensors **file,
                                  struct vqct_error *error) {
  struct mapped_file mapped;
  *file = NULL;
  enum vqct_status status = mapped_file_open(path, &mapped, error);
  return status ? status : file_new(path, mapped, mapped.data, mapped.size, file, error);
}

enum vqct_status safetensors_copy(const char *path, struct safetensors **file,
                                  struct vqct_error *error) {
  struct mapped_file copy;
  *file = NULL;
  enum vqct_status status = mapped_file_copy(path, &copy, error);
  return status ? status : file_new(path, copy, copy.data, copy.size, file, error);
}

enum vqct_status safetensors_parse(const char *name, const void *data, size_t size,
                                   struct safetensors **file, struct vqct_error *error) {
  return file_new(name, (struct mapped_file){0}, data, size, file, error);
}

void safetensors_close(struct safetensors *file) {
  if (!file)
    return;
  json_decref(file->header);
  mapped_file_close(&file->mapped);
  free(file->tensor);
  free(file->name);
  free(file);
}

size_t safetensors_count(const struct safetensors *file) {
  return file->count;
}

const struct tensor *safetensors_tensor(const struct safetensors *file, size_t index) {
  return &file->tensor[index];
}

const struct tensor *safetensors_find(const struct safetensors *file, const char *name) {
  struct tensor key = {.name = name};
  return bsearch(&key, file->tensor, file->count, sizeof key, compare_names);
}

const char *safetensors_metadata(const struct safetensors *file, const char *key) {
  return json_string_value(json_object_get(json_object_get(file->header, METADATA), key));
}

const void *safetensors_bytes(const struct safetensors *file, size_t *size) {
  *size = file->size;
  return file->data;
}

void safetensors_discard(const struct safetensors *file, const void *data, size_t size) {
  if (file->mapped.data)
    mapped_file_discard(&file->mapped, data, size);
}
