/* Any bytes as the words of a released VQCT, a pickle or JSON: an error, or a whole prior. */
#include "file_of_bytes.h"

#include "prior_convert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct file_of_bytes file = file_of_bytes(data, size);
  struct prior prior;
  struct vqct_error error = {VQCT_OK, ""};
  enum vqct_status status = prior_convert(file.path, &prior, &error);
  if (status != error.status || (status == VQCT_OK && prior_check(&prior, &error) != VQCT_OK))
    abort();
  prior_free(&prior);
  close(file.descriptor);
  return 0;
}
