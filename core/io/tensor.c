/* Half-precision numbers are converted in plain C rather than by F16C, so that every
 * processor reads and writes the same bits: rounding to nearest, ties to even, subnormal numbers
 * kept. */
#include "tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "size.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are read in place");

#define BLOCK 4096 /* numbers converted at a time where the result is only looked at */

static const struct {
  const char *name;
  size_t size;
} types[] = {
#define TYPE_ROW(name, size) {#name, size},
    TENSOR_TYPE_MAP(TYPE_ROW)
#undef TYPE_ROW
};

size_t tensor_type_size(enum tensor_type type) {
  return types[type].size;
}

const char *tensor_type_name(enum tensor_type type) {
  return types[type].name;
}

bool tensor_type_find(const char *name, enum tensor_type *type) {
  for (int i = 0; i < TENSOR_TYPE_COUNT; i++)
    if (strcmp(name, types[i].name) == 0) {
      *type = (enum tensor_type)i;
      return true;
    }
  return false;
}

bool tensor_set_count(struct tensor *tensor) {
  size_t count = 1, bytes;
  for (int i = 0; i < tensor->dims; i++)
    if (!size_multiply(count, tensor->shape[i], &count))
      return false;
  tensor->count = count;
  return size_multiply(count, tensor_type_size(tensor->type), &bytes);
}

bool tensor_has_shape(const struct tensor *tensor, int dims, const size_t *shape) {
  if (tensor->dims != dims)
    return false;
  for (int i = 0; i < dims; i++)
    if (tensor->shape[i] != shape[i])
      return false;
  return true;
}

struct tensor_shape_text tensor_shape_text(int dims, const size_t *shape) {
  struct tensor_shape_text result;
  size_t room = sizeof result.text, used = 0;
  for (int i = 0; i < dims && used < room; i++)
    used += (size_t)snprintf(result.text + used, room - used, "%s%zu", i ? ", " : "[", shape[i]);
  if (used < room)
    snprintf(result.text + used, room - used, dims ? "]" : "[]");
  return result;
}

bool tensor_type_is_float(enum tensor_type type) {
  return type == TENSOR_F16 || type == TENSOR_BF16 || type == TENSOR_F32 || type == TENSOR_F64;
}

static float float_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* Moves exponent and fraction into a float's place and repairs the exponent's bias by one
 * multiplication, which is right for subnormal numbers too; only infinity and NaN need their
 * exponent filled up. */
static float half_to_float(uint16_t half) {
  uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
  uint32_t bits = float_bits(float_from_bits(magnitude) * 0x1p112f);
  bits |= (half & 0x7c00) == 0x7c00 ? 0x7f800000u : 0;
  return float_from_bits(bits | (uint32_t)(half & 0x8000) << 16);
}

static uint16_t half_from_float(float value) {
  uint32_t bits = float_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  uint32_t half;
  if (magnitude > 0x7f800000)
    half = 0x7e00;
  else if (magnitude >= 0x477ff000) /* 65520, from where rounding leaves the range */
    half = 0x7c00;
  else if (magnitude < 0x38800000) /* 2^-14: adding 0.5 rounds to the subnormals' step, 2^-24 */
    half = float_bits(float_from_bits(magnitude) + 0.5f) - float_bits(0.5f);
  else
    half = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  return (uint16_t)(sign | half);
}

static uint16_t bfloat_from_float(float value) {
  uint32_t bits = float_bits(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Numbers first to first + count of a tensor. */
static void convert(const struct tensor *tensor, size_t first, size_t count, float *values) {
  const char *data = (const char *)tensor->data + first * tensor_type_size(tensor->type);
  for (size_t i = 0; i < count; i++) {
    uint16_t half;
    double number;
    switch (tensor->type) {
    case TENSOR_F16:
      memcpy(&half, data + 2 * i, sizeof half);
      values[i] = half_to_float(half);
      break;
    case TENSOR_BF16:
      memcpy(&half, data + 2 * i, sizeof half);
      values[i] = float_from_bits((uint32_t)half << 16);
      break;
    case TENSOR_F64:
      memcpy(&number, data + 8 * i, sizeof number);
      values[i] = (float)number;
      break;
    default:
      memcpy(&values[i], data + 4 * i, sizeof *values);
      break;
    }
  }
}

void tensor_to_float(const struct tensor *tensor, float *values) {
  convert(tensor, 0, tensor->count, values);
}

const float *tensor_floats(const struct tensor *tensor) {
  bool aligned = (uintptr_t)tensor->data % sizeof(float) == 0;
  return tensor->type == TENSOR_F32 && aligned ? tensor->data : NULL;
}

size_t tensor_first_not_finite(const struct tensor *tensor) {
  const float *floats = tensor_floats(tensor);
  float block[BLOCK];
  for (size_t first = 0; first < tensor->count; first += BLOCK) {
    size_t count = tensor->count - first < BLOCK ? tensor->count - first : BLOCK;
    const float *values = floats ? floats + first : block;
    if (!floats)
      convert(tensor, first, count, block);
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
      uint32_t magnitude = float_bits(values[i]) & 0x7fffffff;
      largest = magnitude > largest ? magnitude : largest;
    }
    for (size_t i = 0; largest >= 0x7f800000 && i < count; i++)
      if (!isfinite(values[i]))
        return first + i;
  }
  return tensor->count;
}

void tensor_from_float(const float *values, size_t count, enum tensor_type type, void *data) {
  if (type == TENSOR_F32) {
    memcpy(data, values, count * sizeof *values);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    uint16_t half = type == TENSOR_F16 ? half_from_float(values[i]) : bfloat_from_float(values[i]);
    memcpy((char *)data + 2 * i, &half, sizeof half);
  }
}
