#include "token_formats.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

static const struct token_format *const formats[] = {
    &token_format_npy,   &token_format_bin,        &token_format_megatron, &token_format_datatrove,
    &token_format_lines, &token_format_webdataset, &token_format_mds};

enum vqct_status token_format_of(const char *path, const struct token_format **format,
                                 struct vqct_error *error) {
  size_t length = strlen(path);
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    size_t suffix = strlen(formats[i]->suffix);
    if (length > suffix && !strcmp(path + length - suffix, formats[i]->suffix)) {
      *format = formats[i];
      return VQCT_OK;
    }
  }
  return error_set(error, VQCT_INVALID, "%s: a file of tokens ends in " TOKEN_SUFFIXES, path);
}

char *token_name_beside(const char *path, size_t stem, const char *suffix) {
  size_t size = strlen(suffix) + 1;
  char *name = malloc(stem + size);
  if (!name)
    return NULL;
  memcpy(name, path, stem);
  memcpy(name + stem, suffix, size);
  return name;
}
