/* Three forms of one thing: a list of numbers, a tensor of PyTorch and an array of numpy, the last
 * in the calls that older and newer versions write for it. Nothing is called: a pickle's calls are
 * only looked at.
 */
#include "prior_vector.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "tensor.h"
#include "torch_file.h"
#include "torch_tensor.h"

static enum vqct_status read_list(const struct pickle_value *list, float **values, size_t *count,
                                  struct vqct_error *error) {
  *values = malloc(list->count * sizeof **values + 1);
  if (!*values)
    return error_set(error, VQCT_MEMORY, "no memory for a vector");
  *count = list->count;
  for (size_t i = 0; i < list->count; i++) {
    const struct pickle_value *number = list->item[i];
    if (number->kind == PICKLE_REAL)
      (*values)[i] = (float)number->real;
    else if (number->kind == PICKLE_INTEGER)
      (*values)[i] = (float)number->integer;
    else {
      free(*values);
      *values = NULL;
      return error_set(error, VQCT_MODEL, "item %zu of its vector is not a number", i);
    }
  }
  return VQCT_OK;
}

/* What an array is made of. */
struct array_parts {
  const struct pickle_value *shape, *dtype, *bytes;
};

static bool is_of_numpy(const struct pickle_value *value, const char *old, const char *new) {
  return pickle_is_call(value, old) || pickle_is_call(value, new);
}

/* An array is one call with bytes, type and shape; before protocol 5, a call that is then given a
 * state: version, shape, type, order and bytes. */
static bool take_apart(const struct pickle_value *value, struct array_parts *parts) {
  if (is_of_numpy(value, "numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer")) {
    const struct pickle_value *arguments = value->item[1];
    *parts = (struct array_parts){pickle_item(arguments, 2), pickle_item(arguments, 1),
                                  pickle_item(arguments, 0)};
    return true;
  }
  if (!is_of_numpy(value, "numpy.core.multiarray _reconstruct",
                   "numpy._core.multiarray _reconstruct") ||
      value->count != 3)
    return false;
  *parts = (struct array_parts){pickle_item(value->item[2], 1), pickle_item(value->item[2], 2),
                                pickle_item(value->item[2], 4)};
  return true;
}

/* How many numbers there are in an array of one dimension, or of one row; else NULL. */
static const struct pickle_value *size_of_row(const struct pickle_value *shape) {
  const struct pickle_value *first = pickle_item(shape, 0);
  bool row =
      shape && shape->count == 2 && first && first->kind == PICKLE_INTEGER && first->integer == 1;
  const struct pickle_value *size = row ? pickle_item(shape, 1) : first;
  if (!size || (shape->count != 1 && !row) || size->kind != PICKLE_INTEGER || size->integer < 0)
    return NULL;
  return size;
}

static enum vqct_status read_array(const struct array_parts *parts, float **values, size_t *count,
                                   struct vqct_error *error) {
  static const struct {
    const char *name;
    enum tensor_type type;
  } types[] = {{"f2", TENSOR_F16}, {"f4", TENSOR_F32}, {"f8", TENSOR_F64}};
  const struct pickle_value *bytes = parts->bytes, *name = NULL, *order = NULL;
  const struct pickle_value *size = size_of_row(parts->shape);
  if (pickle_is_call(parts->dtype, "numpy dtype")) {
    name = pickle_item(parts->dtype->item[1], 0);
    order = parts->dtype->count == 3 ? pickle_item(parts->dtype->item[2], 1) : NULL;
  }
  if (!name || name->kind != PICKLE_TEXT || !bytes || bytes->kind != PICKLE_TEXT || !size)
    return error_set(error, VQCT_MODEL, "its vector is not an array of one dimension of floats");
  if (!order || order->kind != PICKLE_TEXT || strcmp(order->text, "<") != 0)
    return error_set(error, VQCT_MODEL, "its vector's numbers are not little-endian");
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    struct tensor tensor = {
        .type = types[i].type, .dims = 1, .shape = {(size_t)size->integer}, .data = bytes->text};
    if (strcmp(name->text, types[i].name) != 0 || !tensor_set_count(&tensor) ||
        tensor.count * tensor_type_size(tensor.type) != bytes->count)
      continue;
    *values = malloc(tensor.count * sizeof **values + 1);
    if (!*values)
      return error_set(error, VQCT_MEMORY, "no memory for a vector");
    *count = tensor.count;
    tensor_to_float(&tensor, *values);
    return VQCT_OK;
  }
  return error_set(error, VQCT_MODEL, "its vector's numbers are %.20s, or not as many as it says",
                   name->text);
}

enum vqct_status prior_vector_read(const struct pickle_value *value, float **values, size_t *count,
                                   struct vqct_error *error) {
  *values = NULL;
  *count = 0;
  if (value->kind == PICKLE_LIST)
    return read_list(value, values, count, error);
  if (torch_is_tensor(value))
    return torch_pickled_vector(value, values, count, error);
  struct array_parts parts;
  if (take_apart(value, &parts))
    return read_array(&parts, values, count, error);
  return error_set(error, VQCT_MODEL, "its vector is neither numbers nor a tensor nor an array");
}
