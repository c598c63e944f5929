/* Wide numbers come first and the header is padded, so that every tensor is aligned to its own
 * numbers when the file is mapped. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "atomic_file.h"
#include "error.h"
#include "safetensors.h"

#define DATA_ALIGNMENT 64 /* bytes */
#define LENGTH_BYTES   8

/* The order of the data: indices of the tensors by falling size of their numbers, which keeps each
 * aligned; equal sizes stay in the given order. */
static size_t *data_order(const struct tensor *tensors, size_t count) {
  size_t *order = malloc((count + 1) * sizeof *order), next = 0;
  for (size_t size = 8; order && size > 0; size /= 2)
    for (size_t i = 0; i < count; i++)
      if (tensor_type_size(tensors[i].type) == size)
        order[next++] = i;
  return order;
}

/* The entry of one tensor; *offset moves past it. NULL if memory is exhausted. */
static json_t *tensor_entry(const struct tensor *tensor, size_t *offset) {
  json_t *shape = json_array();
  size_t bytes = tensor_type_size(tensor->type), begin = *offset;
  for (int i = 0; i < tensor->dims; i++) {
    json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    bytes *= tensor->shape[i];
  }
  *offset += bytes;
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor_type_name(tensor->type), "shape", shape,
                   "data_offsets", (json_int_t)begin, (json_int_t)*offset);
}

static enum vqct_status put(json_t *object, const char *key, json_t *value, const char *path,
                            struct vqct_error *error) {
  if (!value || json_object_get(object, key)) {
    json_decref(value);
    return error_set(error, VQCT_INVALID, "%s: \"%.100s\" is there twice, or not UTF-8", path, key);
  }
  if (json_object_set_new(object, key, value) != 0)
    return error_set(error, VQCT_INVALID, "%s: \"%.100s\" cannot be a name", path, key);
  return VQCT_OK;
}

/* The header's JSON, from malloc; NULL after an error. */
static char *header_text(const char *path, const struct tensor *tensors, size_t count,
                         const size_t *order, const struct safetensors_text *metadata, size_t texts,
                         struct vqct_error *error) {
  json_t *root = json_object();
  size_t offset = 0;
  char *text = NULL;
  if (texts && put(root, "__metadata__", json_object(), path, error))
    goto done;
  for (size_t i = 0; i < texts; i++)
    if (put(json_object_get(root, "__metadata__"), metadata[i].key, json_string(metadata[i].value),
            path, error))
      goto done;
  for (size_t i = 0; i < count; i++) {
    const struct tensor *tensor = &tensors[order[i]];
    if (put(root, tensor->name, tensor_entry(tensor, &offset), path, error))
      goto done;
  }
  text = json_dumps(root, JSON_COMPACT);
  if (!text)
    error_set(error, VQCT_MEMORY, "%s: memory is exhausted", path);
done:
  json_decref(root);
  return text;
}

/* Length, JSON and the spaces that align the data. */
static enum vqct_status write_header(struct atomic_file *file, const char *text,
                                     struct vqct_error *error) {
  static const char spaces[DATA_ALIGNMENT + 1] =
      "                                                                ";
  size_t size = strlen(text);
  size_t padding = -(LENGTH_BYTES + size) % DATA_ALIGNMENT;
  uint64_t length = size + padding;
  enum vqct_status status = atomic_file_write(file, &length, sizeof length, error);
  if (status != VQCT_OK || (status = atomic_file_write(file, text, size, error)) != VQCT_OK)
    return status;
  return atomic_file_write(file, spaces, padding, error);
}

static enum vqct_status write_data(struct atomic_file *file, const struct tensor *tensors,
                                   size_t count, const size_t *order, struct vqct_error *error) {
  for (size_t i = 0; i < count; i++) {
    struct tensor tensor = tensors[order[i]];
    tensor_set_count(&tensor);
    enum vqct_status status =
        atomic_file_write(file, tensor.data, tensor.count * tensor_type_size(tensor.type), error);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static enum vqct_status write_file(const char *path, const char *header,
                                   const struct tensor *tensors, size_t count, const size_t *order,
                                   struct vqct_error *error) {
  struct atomic_file file;
  enum vqct_status status = atomic_file_open(path, &file, error);
  if (status != VQCT_OK)
    return status;
  if ((status = write_header(&file, header, error)) ||
      (status = write_data(&file, tensors, count, order, error))) {
    atomic_file_discard(&file);
    return status;
  }
  return atomic_file_commit(&file, error);
}

enum vqct_status safetensors_save(const char *path, const struct tensor *tensors, size_t count,
                                  const struct safetensors_text *metadata, size_t texts,
                                  struct vqct_error *error) {
  size_t *order = data_order(tensors, count);
  if (!order)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", path);
  struct vqct_error unused = {VQCT_OK, ""};
  struct vqct_error *reason = error ? error : &unused;
  char *header = header_text(path, tensors, count, order, metadata, texts, reason);
  enum vqct_status status =
      header ? write_file(path, header, tensors, count, order, error) : reason->status;
  free(header);
  free(order);
  return status;
}
