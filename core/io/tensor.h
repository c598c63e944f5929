/* A tensor as files hold it: a view of packed little-endian numbers, row-major. */
#ifndef IO_TENSOR_H
#define IO_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TENSOR_DIMS_MAX 8

/* X(NAME as in safetensors, bytes of one number) */
#define TENSOR_TYPE_MAP(X)                                                                         \
  X(BOOL, 1)                                                                                       \
  X(U8, 1)                                                                                         \
  X(I8, 1)                                                                                         \
  X(F8_E5M2, 1)                                                                                    \
  X(F8_E4M3, 1)                                                                                    \
  X(I16, 2)                                                                                        \
  X(U16, 2)                                                                                        \
  X(F16, 2)                                                                                        \
  X(BF16, 2)                                                                                       \
  X(I32, 4)                                                                                        \
  X(U32, 4)                                                                                        \
  X(F32, 4)                                                                                        \
  X(I64, 8)                                                                                        \
  X(U64, 8)                                                                                        \
  X(F64, 8)                                                                                        \
  X(C64, 8)

enum tensor_type {
#define TENSOR_TYPE_ENUM(name, size) TENSOR_##name,
  TENSOR_TYPE_MAP(TENSOR_TYPE_ENUM)
#undef TENSOR_TYPE_ENUM
      TENSOR_TYPE_COUNT
};

struct tensor {
  const char *name;
  enum tensor_type type;
  int dims; /* 0 (a single number) to TENSOR_DIMS_MAX */
  size_t shape[TENSOR_DIMS_MAX];
  size_t count;       /* numbers: the product of the shape */
  const void *data;   /* count numbers; may be unaligned */
  const char *unread; /* what it is instead, where it has no shape and numbers that can be read;
                       * else NULL */
};

/** The tensors of a file, by name. */
struct tensor_table {
  const struct tensor *tensor;
  size_t count;
};

/** Bytes of one number. */
size_t tensor_type_size(enum tensor_type type);

/** "F32" and so on, as in safetensors. */
const char *tensor_type_name(enum tensor_type type);

/** The type of such a name; false if there is none. */
bool tensor_type_find(const char *name, enum tensor_type *type);

/** Sets tensor->count to the product of the shape; false where that, or the size in bytes,
 * overflows. */
bool tensor_set_count(struct tensor *tensor);

/** Whether the shape is exactly this one. */
bool tensor_has_shape(const struct tensor *tensor, int dims, const size_t *shape);

/** The shape as text, such as "[128, 3, 3, 3]", cut to fit. */
struct tensor_shape_text {
  char text[96];
};
struct tensor_shape_text tensor_shape_text(int dims, const size_t *shape);

/** Whether tensor_to_float can read the type: F16, BF16, F32 or F64. */
bool tensor_type_is_float(enum tensor_type type);

/** Converts all numbers of a float type to count floats; F64 is rounded to nearest. */
void tensor_to_float(const struct tensor *tensor, float *values);

/** The numbers where they lie, if they are F32 and aligned as floats are; NULL otherwise. */
const float *tensor_floats(const struct tensor *tensor);

/** The index of the first NaN or infinity of a float type, count if all are finite. */
size_t tensor_first_not_finite(const struct tensor *tensor);

/** Converts count floats to packed F32, F16 or BF16, rounding to nearest, ties to even; what is too
 * large for the type becomes infinity. */
void tensor_from_float(const float *values, size_t count, enum tensor_type type, void *data);

#endif
