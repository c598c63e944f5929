/* Any bytes as an index of shards, beside two files: "a", a safetensors file of one tensor "x", and
 * "b", which is none. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tensor_files.h"

static char folder[] = "/tmp/fuzz_index-XXXXXX";
static const char shard[] = "\x40\0\0\0\0\0\0\0{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_"
                            "offsets\":[0,4]}}         0000";

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_beside(const char *name, const void *bytes, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
    abort();
}

static void remove_all(void) {
  static const char *const names[] = {"a", "b", "c.index.json"};
  char path[64];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    remove(path);
  }
  rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  if (!mkdtemp(folder))
    abort();
  write_beside("a", shard, sizeof shard - 1);
  write_beside("b", "none", 4);
  atexit(remove_all);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64];
  struct tensor_files *files;
  struct vqct_error error = {VQCT_OK, ""};
  float value;
  write_beside("c.index.json", data, size);
  snprintf(path, sizeof path, "%s/c.index.json", folder);
  if (tensor_files_open(path, &files, &error) != error.status)
    abort();
  struct tensor_table table = {0};
  if (files)
    table = tensor_files_tensors(files);
  for (size_t i = 0; i < table.count; i++)
    if (tensor_files_read(files, i, &value, &error) != VQCT_OK)
      abort();
  tensor_files_close(files);
  return 0;
}
