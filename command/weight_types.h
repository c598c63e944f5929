/* The option that says how a model file holds its weights. */
#ifndef COMMAND_WEIGHT_TYPES_H
#define COMMAND_WEIGHT_TYPES_H

#include "tensor.h"

#define WEIGHT_TYPES "fp32|fp16|bf16"

/** The type of one of these choices by its place. */
static inline enum tensor_type weight_type(int choice) {
  return choice == 0 ? TENSOR_F32 : choice == 1 ? TENSOR_F16 : TENSOR_BF16;
}

#endif
