/* Any bytes as a .npy file. */
#include "npy.h"

static volatile unsigned char sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct tensor tensor;
  struct vqct_error error;
  if (npy_parse("F", data, size, &tensor, &error) != VQCT_OK)
    return 0;
  const unsigned char *bytes = tensor.data;
  for (size_t i = 0; i < tensor.count * tensor_type_size(tensor.type); i++)
    sink = bytes[i];
  return 0;
}
