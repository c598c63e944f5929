/* Any bytes as a file of PyTorch, and as a pickle in such a file: every view that is offered and is
 * of a size that a file may have is read, so that the sanitizers see one that leaves its storage.
 */
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "torch_file.h"

#define COUNT_MAX ((size_t)1 << 20)

static void read_all(const void *data, size_t size) {
  struct torch_file *file;
  struct vqct_error error;
  size_t count;
  if (torch_file_parse("F", data, size, &file, &error) != VQCT_OK)
    return;
  const struct tensor *tensors = torch_file_tensors(file, &count);
  for (size_t i = 0; i < count; i++) {
    if (tensors[i].count > COUNT_MAX || !tensor_type_is_float(tensors[i].type))
      continue;
    float *values = malloc(tensors[i].count * sizeof *values + 1);
    if (values)
      torch_file_read(file, i, values, &error);
    free(values);
  }
  torch_file_close(file);
}

static bool add(zip_t *archive, const char *name, const void *data, size_t size) {
  zip_source_t *source = zip_source_buffer(archive, data, size, 0);
  zip_int64_t index = source ? zip_file_add(archive, name, source, 0) : -1;
  return index >= 0 && zip_set_file_compression(archive, (zip_uint64_t)index, ZIP_CM_STORE, 0) == 0;
}

/* A whole archive around a pickle, with one storage of 64 bytes, so that the fuzzer need not learn
 * to make archives. */
static void read_pickle(const void *data, size_t size) {
  static const char storage[64];
  zip_error_t fault;
  zip_error_init(&fault);
  zip_source_t *target = zip_source_buffer_create(NULL, 0, 0, &fault);
  zip_t *archive = target ? zip_open_from_source(target, ZIP_TRUNCATE, &fault) : NULL;
  zip_error_fini(&fault);
  if (!archive)
    return;
  zip_source_keep(target);
  zip_stat_t facts;
  if (add(archive, "f/data.pkl", data, size) && add(archive, "f/data/0", storage, 64) &&
      zip_close(archive) == 0 && zip_source_open(target) == 0) {
    zip_source_stat(target, &facts);
    char *bytes = malloc(facts.size + 1);
    if (bytes && zip_source_read(target, bytes, facts.size) == (zip_int64_t)facts.size)
      read_all(bytes, facts.size);
    free(bytes);
    zip_source_close(target);
  } else {
    zip_discard(archive);
  }
  zip_source_free(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct pickle pickle;
  struct vqct_error error;
  read_all(data, size);
  read_pickle(data, size);
  if (pickle_read("F", data, size, &pickle, &error) == VQCT_OK) {
    float *values;
    size_t count;
    if (torch_pickled_vector(pickle.root, &values, &count, &error) == VQCT_OK)
      free(values);
    pickle_free(&pickle);
  }
  return 0;
}
