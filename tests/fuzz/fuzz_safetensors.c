/* Any bytes as a safetensors file, and what parses as a model file: every view that is offered is
 * read, so that the sanitizers see one that leaves the data. */
#include "model_file.h"

static volatile unsigned char sink;

static void read_all(const void *data, size_t size) {
  const unsigned char *bytes = data;
  for (size_t i = 0; i < size; i++)
    sink = bytes[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct safetensors *file;
  struct model_file model;
  struct vqct_error error;
  if (safetensors_parse("F", data, size, &file, &error) == VQCT_OK) {
    for (size_t i = 0; i < safetensors_count(file); i++) {
      const struct tensor *tensor = safetensors_tensor(file, i);
      read_all(tensor->data, tensor->count * tensor_type_size(tensor->type));
      if (safetensors_find(file, tensor->name) != tensor)
        __builtin_trap();
    }
    safetensors_close(file);
  }
  if (model_file_parse("F", data, size, &model, &error) == VQCT_OK) {
    for (size_t code = 0; code < (size_t)model_config_codes(&model.config); code++)
      read_all(model_file_word(&model, code), 1);
    model_file_close(&model);
  }
  return 0;
}
