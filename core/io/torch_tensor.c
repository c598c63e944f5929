/* A tensor in a pickle is a call: _rebuild_tensor_v2(storage, offset, shape, stride, ...). Nothing
 * is called; the arguments are read where they stand, and checked before anything is computed of
 * them. */
#include "torch_tensor.h"

#include <stdio.h>
#include <string.h>

#include "error.h"

static const struct {
  const char *global;
  enum tensor_type type;
} storage_types[] = {
    {"torch FloatStorage", TENSOR_F32},        {"torch HalfStorage", TENSOR_F16},
    {"torch BFloat16Storage", TENSOR_BF16},    {"torch DoubleStorage", TENSOR_F64},
    {"torch LongStorage", TENSOR_I64},         {"torch IntStorage", TENSOR_I32},
    {"torch ShortStorage", TENSOR_I16},        {"torch CharStorage", TENSOR_I8},
    {"torch ByteStorage", TENSOR_U8},          {"torch BoolStorage", TENSOR_BOOL},
    {"torch ComplexFloatStorage", TENSOR_C64},
};

static enum vqct_status fault(const char *name, const char *what, struct vqct_error *error) {
  return error_set(error, VQCT_MODEL, "tensor \"%.100s\": %s", name, what);
}

static bool is_parameter(const struct pickle_value *value) {
  return pickle_is_call(value, "torch._utils _rebuild_parameter") ||
         pickle_is_call(value, "torch._utils _rebuild_parameter_with_state");
}

bool torch_is_tensor(const struct pickle_value *value) {
  return pickle_is_call(value, "torch._utils _rebuild_tensor_v2") || is_parameter(value);
}

static bool is_module(const struct pickle_value *value) {
  return value->count == 3 && pickle_find(value->item[2], "_parameters") &&
         pickle_find(value->item[2], "_modules");
}

/* Whether a function makes a tensor, or numpy's array in the place of one. */
static bool makes_tensor(const char *function) {
  static const char *const starts[] = {"torch._utils _rebuild",
                                       "torch._tensor _rebuild",
                                       "numpy.core.multiarray _reconstruct",
                                       "numpy._core.multiarray _reconstruct",
                                       "numpy.core.numeric _frombuffer",
                                       "numpy._core.numeric _frombuffer"};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
    if (strncmp(function, starts[i], strlen(starts[i])) == 0)
      return true;
  return false;
}

enum vqct_status torch_unread(const struct pickle_value *value, struct arena *memory,
                              const char **what) {
  const char *name = pickle_class(value);
  bool module = name && is_module(value);
  *what = NULL;
  if (!name || (!module && (torch_is_tensor(value) || !makes_tensor(name))))
    return VQCT_OK;
  const char *before = module ? "a whole " : "made by ";
  const char *after = module ? ": save its state_dict() instead"
                             : ", which is not read: save it as a dense tensor of floats";
  size_t room = strlen(before) + strlen(name) + strlen(after) + 1;
  char *text = arena_alloc(memory, room);
  if (!text)
    return VQCT_MEMORY;
  snprintf(text, room, "%s%s%s", before, name, after);
  *what = text;
  return VQCT_OK;
}

static bool read_size(const struct pickle_value *value, uint64_t *size) {
  if (!value || value->kind != PICKLE_INTEGER || value->integer < 0)
    return false;
  *size = (uint64_t)value->integer;
  return true;
}

enum vqct_status torch_storage_read(const char *name, const struct pickle_value *outside,
                                    struct torch_storage *storage, struct vqct_error *error) {
  const struct pickle_value *id = outside->kind == PICKLE_OUTSIDE ? outside->item[0] : NULL;
  const struct pickle_value *type = pickle_item(id, 1), *key = pickle_item(id, 2);
  if (!type || type->kind != PICKLE_GLOBAL || !key || key->kind != PICKLE_TEXT ||
      !read_size(pickle_item(id, 4), &storage->count))
    return fault(name, "its storage is not described as PyTorch does", error);
  storage->key = key->text;
  for (size_t i = 0; i < sizeof storage_types / sizeof *storage_types; i++)
    if (strcmp(type->text, storage_types[i].global) == 0) {
      storage->type = storage_types[i].type;
      return VQCT_OK;
    }
  return error_set(error, VQCT_MODEL,
                   "tensor \"%.100s\": its storage is a %.100s, which is not read", name,
                   type->text);
}

static enum vqct_status read_shape(const char *name, const struct pickle_value *arguments,
                                   struct tensor *tensor, struct torch_view *view,
                                   struct vqct_error *error) {
  const struct pickle_value *shape = pickle_item(arguments, 2);
  const struct pickle_value *strides = pickle_item(arguments, 3);
  if (!shape || !strides || shape->kind != PICKLE_LIST || strides->kind != PICKLE_LIST ||
      shape->count > TENSOR_DIMS_MAX || strides->count != shape->count ||
      !read_size(pickle_item(arguments, 1), &view->offset))
    return fault(name, "its offset, shape and strides are not those of at most 8 dimensions",
                 error);
  tensor->dims = (int)shape->count;
  for (size_t i = 0; i < shape->count; i++) {
    uint64_t size;
    if (!read_size(shape->item[i], &size) || !read_size(strides->item[i], &view->stride[i]))
      return fault(name, "its shape or strides have something that is not a size", error);
    tensor->shape[i] = (size_t)size;
  }
  return tensor_set_count(tensor) ? VQCT_OK : fault(name, "its shape is too large", error);
}

enum vqct_status torch_tensor_read(const char *name, const struct pickle_value *value,
                                   struct tensor *tensor, struct torch_view *view,
                                   struct vqct_error *error) {
  if (is_parameter(value))
    value = pickle_item(value->item[1], 0); /* a parameter is a tensor and two flags */
  if (!pickle_is_call(value, "torch._utils _rebuild_tensor_v2"))
    return fault(name, "it is made in a way that is not read", error);
  const struct pickle_value *arguments = value->item[1], *storage = pickle_item(arguments, 0);
  *view = (struct torch_view){0};
  enum vqct_status status = VQCT_OK;
  if (!storage)
    return fault(name, "it has no storage", error);
  if (pickle_is_call(storage, "torch.storage _load_from_bytes"))
    view->storage.bytes = pickle_item(storage->item[1], 0);
  else
    status = torch_storage_read(name, storage, &view->storage, error);
  tensor->type = view->storage.type;
  tensor->data = NULL;
  return status ? status : read_shape(name, arguments, tensor, view, error);
}

bool torch_view_fits(const struct tensor *tensor, const struct torch_view *view, uint64_t count) {
  uint64_t last = view->offset, reach;
  if (tensor->count == 0)
    return true;
  for (int i = 0; i < tensor->dims; i++)
    if (__builtin_mul_overflow((uint64_t)tensor->shape[i] - 1, view->stride[i], &reach) ||
        __builtin_add_overflow(last, reach, &last))
      return false;
  return last < count;
}

void torch_view_gather(const struct tensor *tensor, const struct torch_view *view,
                       const void *storage, void *to) {
  size_t size = tensor_type_size(tensor->type), index[TENSOR_DIMS_MAX] = {0};
  uint64_t at = view->offset;
  for (size_t n = 0; n < tensor->count; n++) {
    memcpy((char *)to + n * size, (const char *)storage + at * size, size);
    for (int i = tensor->dims - 1; i >= 0; i--) {
      at += view->stride[i];
      if (++index[i] < tensor->shape[i])
        break;
      at -= view->stride[i] * tensor->shape[i];
      index[i] = 0;
    }
  }
}
