/* Any bytes as a safetensors file, as a checkpoint to import, and as a model file: every view that
 * is offered is read, so that the sanitizers see one that leaves the data. */
#include "import.h"
#include "safetensors.h"

static volatile unsigned char sink;

static void read_all(const void *data, size_t size) {
  const unsigned char *bytes = data;
  for (size_t i = 0; i < size; i++)
    sink = bytes[i];
}

static void infer(const struct safetensors *file) {
  struct import_entries entries;
  struct model_config config;
  struct vqct_error error;
  struct import_request request = {.path = "F", .name = "m", .adjective_k = 1};
  size_t count = safetensors_count(file);
  struct import_source source = {.path = "F",
                                 .tensors = {count ? safetensors_tensor(file, 0) : NULL, count}};
  if (import_entries_init(&source, &entries, &error) != VQCT_OK)
    return;
  if (import_infer(&request, &entries, &config, &error) == VQCT_OK &&
      model_config_check(&config, &error) != VQCT_OK)
    __builtin_trap();
  import_entries_free(&entries);
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
    infer(file);
    safetensors_close(file);
  }
  if (model_file_parse("F", data, size, &model, &error) == VQCT_OK) {
    for (size_t code = 0; code < (size_t)model_config_codes(&model.config); code++)
      read_all(model_file_word(&model, code), 1);
    model_file_close(&model);
  }
  return 0;
}
