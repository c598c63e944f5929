/* Any bytes as the configuration of another family, YAML or JSON. */
#include "file_of_bytes.h"

#include <string.h>

#include "yaml_scalars.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(void *context, const char *key, const char *value) {
  *(size_t *)context += strlen(key) + strlen(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct file_of_bytes file = file_of_bytes(data, size);
  struct vqct_error error = {VQCT_OK, ""};
  size_t characters = 0;
  if (yaml_scalars(file.path, read_all, &characters, &error) != error.status)
    abort();
  close(file.descriptor);
  return 0;
}
