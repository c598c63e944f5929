/* Every family has the convolution encoder.conv_in, so what stands before that is a tokenizer's
 * prefix. Of a pair of weights and their averages, only one is taken.
 */
#include "import_prefix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

#define FIRST_CONVOLUTION "encoder.conv_in.weight"
#define AVERAGE           "ema."

static bool ends_with(const char *text, size_t length, const char *end) {
  size_t tail = strlen(end);
  return length >= tail && strncmp(text + length - tail, end, tail) == 0;
}

bool import_prefix_is_average(const char *prefix) {
  size_t length = strlen(prefix), tail = sizeof AVERAGE - 1;
  return ends_with(prefix, length, AVERAGE) && (length == tail || prefix[length - tail - 1] == '.');
}

/* The length of the prefix of a tokenizer's first convolution; false where the tensor is none. */
static bool prefix_of(const char *name, size_t *length) {
  size_t all = strlen(name), tail = sizeof FIRST_CONVOLUTION - 1;
  if (!ends_with(name, all, FIRST_CONVOLUTION) || all - tail >= IMPORT_PREFIX_MAX)
    return false;
  *length = all - tail;
  return *length == 0 || name[*length - 1] == '.';
}

/* Whether it is what was asked for: that prefix, or any of averages or of weights. */
static bool is_wanted(const struct import_source *source, const char *prefix, bool averages) {
  if (!source->prefix)
    return import_prefix_is_average(prefix) == averages;
  size_t length = strlen(source->prefix);
  return strncmp(prefix, source->prefix, length) == 0 &&
         (prefix[length] == '\0' || strcmp(prefix + length, ".") == 0);
}

/* How many tokenizers are wanted; the last one's prefix, and all of them in a list. */
static size_t find_wanted(const struct import_source *source, bool averages,
                          char prefix[IMPORT_PREFIX_MAX], char list[IMPORT_PREFIX_MAX]) {
  size_t found = 0, length, used = 0;
  list[0] = '\0';
  for (size_t i = 0; i < source->tensors.count; i++) {
    char candidate[IMPORT_PREFIX_MAX];
    if (!prefix_of(source->tensors.tensor[i].name, &length))
      continue;
    memcpy(candidate, source->tensors.tensor[i].name, length);
    candidate[length] = '\0';
    if (!is_wanted(source, candidate, averages))
      continue;
    memcpy(prefix, candidate, length + 1);
    if (used < IMPORT_PREFIX_MAX)
      used += (size_t)snprintf(list + used, IMPORT_PREFIX_MAX - used, "%s\"%s\"", found ? ", " : "",
                               candidate);
    found++;
  }
  return found;
}

enum vqct_status import_prefix_find(const struct import_source *source,
                                    char prefix[IMPORT_PREFIX_MAX], struct vqct_error *error) {
  char list[IMPORT_PREFIX_MAX];
  prefix[0] = '\0';
  size_t found = find_wanted(source, source->averages, prefix, list);
  if (!found && source->averages)
    found = find_wanted(source, false, prefix, list);
  if (found > 1)
    return error_set(error, VQCT_MODEL,
                     "%s: there are %zu tokenizers in it; give --prefix, one of %s", source->path,
                     found, list);
  if (!found && source->prefix)
    return error_set(error, VQCT_INVALID,
                     "%s: " FIRST_CONVOLUTION " is missing under the prefix \"%.100s\"",
                     source->path, source->prefix);
  return VQCT_OK;
}

bool import_diffusion_is_beside(const struct import_source *source, const char *prefix) {
  static const char first_stage[] = "first_stage_model.";
  static const char diffusion[] = "model.diffusion_model.";
  size_t length = strlen(prefix), tail = sizeof first_stage - 1;
  if (!ends_with(prefix, length, first_stage))
    return false;
  for (size_t i = 0; i < source->tensors.count; i++) {
    const char *name = source->tensors.tensor[i].name;
    if (strncmp(name, prefix, length - tail) == 0 &&
        strncmp(name + length - tail, diffusion, sizeof diffusion - 1) == 0)
      return true;
  }
  return false;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

size_t import_tensor_find(const struct tensor_table *tensors, const char *name) {
  struct tensor key = {.name = name};
  const struct tensor *found =
      tensors->count ? bsearch(&key, tensors->tensor, tensors->count, sizeof key, compare_names)
                     : NULL;
  return found ? (size_t)(found - tensors->tensor) : tensors->count;
}
