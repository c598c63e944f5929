/* The header is a Python dictionary as numpy prints it. It is parsed by a cursor that cannot
 * pass its end, and only what numpy itself writes is accepted: three keys, in any order, each
 * once. The data must fill the rest of the file exactly. */
#include "npy.h"

#include <stdio.h>
#include <string.h>

#include "error.h"

#define MAGIC "\x93NUMPY"

/* numpy's names of the types; those it has not are absent. */
static const struct {
  const char *descr;
  enum tensor_type type;
} descriptions[] = {
    {"|b1", TENSOR_BOOL}, {"|u1", TENSOR_U8},  {"|i1", TENSOR_I8},  {"<i2", TENSOR_I16},
    {"<u2", TENSOR_U16},  {"<f2", TENSOR_F16}, {"<i4", TENSOR_I32}, {"<u4", TENSOR_U32},
    {"<f4", TENSOR_F32},  {"<i8", TENSOR_I64}, {"<u8", TENSOR_U64}, {"<f8", TENSOR_F64},
};
#define DESCRIPTIONS (sizeof descriptions / sizeof *descriptions)

/* The header's text, read from left to right. Any step past its end fails. */
struct cursor {
  const char *next, *end;
};

static void skip_spaces(struct cursor *c) {
  while (c->next < c->end && (*c->next == ' ' || *c->next == '\n'))
    c->next++;
}

/* Takes the text if it comes next, after spaces. */
static bool take(struct cursor *c, const char *text) {
  size_t length = strlen(text);
  skip_spaces(c);
  if ((size_t)(c->end - c->next) < length || memcmp(c->next, text, length) != 0)
    return false;
  c->next += length;
  return true;
}

static bool take_size(struct cursor *c, size_t *size) {
  skip_spaces(c);
  const char *first = c->next;
  *size = 0;
  for (; c->next < c->end && *c->next >= '0' && *c->next <= '9'; c->next++)
    if (__builtin_mul_overflow(*size, (size_t)10, size) ||
        __builtin_add_overflow(*size, (size_t)(*c->next - '0'), size))
      return false;
  return c->next > first;
}

/* "(2, 3)", "(2,)" or "()" */
static bool take_shape(struct cursor *c, struct tensor *tensor) {
  if (!take(c, "("))
    return false;
  while (!take(c, ")")) {
    if (tensor->dims == TENSOR_DIMS_MAX || !take_size(c, &tensor->shape[tensor->dims]))
      return false;
    tensor->dims++;
    if (!take(c, ",") && (tensor->dims == 1 || c->next == c->end || *c->next != ')'))
      return false;
  }
  return true;
}

static bool take_type(struct cursor *c, struct tensor *tensor) {
  if (!take(c, "'"))
    return false;
  for (size_t i = 0; i < DESCRIPTIONS; i++)
    if (take(c, descriptions[i].descr)) {
      tensor->type = descriptions[i].type;
      return take(c, "'");
    }
  return false;
}

/* {'descr': '<u2', 'fortran_order': False, 'shape': (2, 3), } with the keys in any order. Returns
 * what is wrong, or NULL. */
static const char *parse_dictionary(struct cursor *c, struct tensor *tensor) {
  bool type = false, order = false, shape = false;
  if (!take(c, "{"))
    return "its header is not a dictionary";
  while (!take(c, "}")) {
    if (!type && take(c, "'descr'")) {
      type = true;
      if (!take(c, ":") || !take_type(c, tensor))
        return "its numbers are of a type that is not read here";
    } else if (!order && take(c, "'fortran_order'")) {
      order = true;
      if (!take(c, ":") || !take(c, "False"))
        return "it is not in C order";
    } else if (!shape && take(c, "'shape'")) {
      shape = true;
      if (!take(c, ":") || !take_shape(c, tensor))
        return "its shape is damaged or has more than 8 dimensions";
    } else {
      return "its header has an unknown key, one twice, or is damaged";
    }
    take(c, ",");
  }
  skip_spaces(c);
  return type && order && shape && c->next == c->end ? NULL : "its header is incomplete or damaged";
}

/* Returns what is wrong, or NULL. */
static const char *parse(const unsigned char *data, size_t size, struct tensor *tensor) {
  if (size < 10 || memcmp(data, MAGIC, 6) != 0)
    return "not a .npy file";
  unsigned version = data[6];
  size_t prefix = version == 1 ? 10 : 12;
  if (version < 1 || version > 3 || data[7] != 0 || size < prefix)
    return "of an unknown version of the .npy format, or truncated";
  size_t length = (size_t)data[8] | (size_t)data[9] << 8;
  if (version > 1)
    length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
  if (length > size - prefix)
    return "truncated within its header";
  struct cursor c = {(const char *)data + prefix, (const char *)data + prefix + length};
  const char *wrong = parse_dictionary(&c, tensor);
  if (wrong)
    return wrong;
  if (!tensor_set_count(tensor))
    return "its shape is too large";
  if (tensor->count * tensor_type_size(tensor->type) != size - prefix - length)
    return "its data's size is not that of its shape: truncated, or something follows";
  tensor->data = data + prefix + length;
  return NULL;
}

enum vqct_status npy_parse(const char *name, const void *data, size_t size, struct tensor *tensor,
                           struct vqct_error *error) {
  *tensor = (struct tensor){.name = ""};
  const char *wrong = parse(data, size, tensor);
  return wrong ? error_set(error, VQCT_DATA, "%s: %s", name, wrong) : VQCT_OK;
}

enum vqct_status npy_open(const char *path, struct npy *npy, struct vqct_error *error) {
  *npy = (struct npy){0};
  enum vqct_status status = mapped_file_open(path, &npy->mapped, error);
  if (!status)
    status = npy_parse(path, npy->mapped.data, npy->mapped.size, &npy->tensor, error);
  if (status)
    npy_close(npy);
  return status;
}

void npy_close(struct npy *npy) {
  mapped_file_close(&npy->mapped);
  *npy = (struct npy){0};
}

static const char *type_description(enum tensor_type type) {
  for (size_t i = 0; i < DESCRIPTIONS; i++)
    if (descriptions[i].type == type)
      return descriptions[i].descr;
  return "|V1";
}

void npy_header(enum tensor_type type, int dims, const size_t *shape,
                char header[NPY_HEADER_SIZE]) {
  static const char prefix[10] = {
      '\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)(NPY_HEADER_SIZE - 10), 0};
  char text[NPY_HEADER_SIZE - sizeof prefix];
  int room = (int)sizeof text;
  int used = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                      type_description(type));
  for (int i = 0; i < dims; i++)
    used += snprintf(text + used, (size_t)(room - used),
                     i + 1 < dims ? "%zu, "
                     : dims == 1  ? "%zu,"
                                  : "%zu",
                     shape[i]);
  used += snprintf(text + used, (size_t)(room - used), "), }");
  memset(text + used, ' ', (size_t)(room - used));
  text[room - 1] = '\n';
  memcpy(header, prefix, sizeof prefix);
  memcpy(header + sizeof prefix, text, sizeof text);
}
