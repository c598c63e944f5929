#include "token_formats.h"

#include <string.h>

#include "error.h"

/* In the order of TOKEN_FORMAT_NAMES. */
static const struct token_format *const formats[] = {
    &token_format_npy,   &token_format_bin,        &token_format_megatron, &token_format_datatrove,
    &token_format_lines, &token_format_webdataset, &token_format_mds};

const struct token_format *token_format_named(size_t choice) {
  return formats[choice];
}

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
