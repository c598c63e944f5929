/* The same tensors as model_file.c reads. Kernels may be written as halves, everything else stays
 * in fp32; what is converted is checked once more, since a number can leave the range of a half.
 */
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "error.h"
#include "model_file.h"
#include "model_names.h"
#include "utf8.h"

/* A file being put together: its tensors, and the arena that holds what was made for them. */
struct writing {
  const struct model_content *content;
  struct tensor *tensor;
  size_t tensors;
  struct arena arena;
  struct vqct_error *error;
};

static enum vqct_status exhausted(const struct writing *w) {
  return error_set(w->error, VQCT_MEMORY, "memory is exhausted writing %s",
                   w->content->config->name);
}

static struct tensor *add(struct writing *w, const char *name, enum tensor_type type, int dims,
                          const size_t *shape, const void *data) {
  struct tensor *tensor = &w->tensor[w->tensors++];
  *tensor = (struct tensor){.name = name, .type = type, .dims = dims, .data = data};
  memcpy(tensor->shape, shape, (size_t)dims * sizeof *shape);
  tensor_set_count(tensor);
  return tensor;
}

static enum vqct_status check_finite(const struct writing *w, const struct tensor *tensor) {
  size_t place = tensor_first_not_finite(tensor);
  if (place == tensor->count)
    return VQCT_OK;
  return error_set(w->error, VQCT_NOT_FINITE,
                   "tensor \"%s\" has NaN or infinity at number %zu, as %s", tensor->name, place,
                   tensor_type_name(tensor->type));
}

static enum vqct_status add_weight(struct writing *w, const struct parameter *p,
                                   enum tensor_type type) {
  const float *values = w->content->weights + p->offset;
  size_t shape[4];
  for (int i = 0; i < p->dims; i++)
    shape[i] = (size_t)p->shape[i];
  if (type == TENSOR_F32 || p->dims != 4)
    return check_finite(w, add(w, p->name, TENSOR_F32, p->dims, shape, values));
  void *converted = arena_alloc(&w->arena, p->count * tensor_type_size(type));
  if (!converted)
    return exhausted(w);
  tensor_from_float(values, p->count, type, converted);
  return check_finite(w, add(w, p->name, type, p->dims, shape, converted));
}

/* The words one after another, and where each begins. */
static enum vqct_status add_words(struct writing *w, size_t codes) {
  const char *const *words = w->content->words;
  uint64_t *offsets = arena_calloc(&w->arena, codes + 1, sizeof *offsets);
  if (!offsets)
    return exhausted(w);
  for (size_t code = 0; code < codes; code++) {
    size_t length = words ? strlen(words[code]) : 0;
    if (length > MODEL_WORD_BYTES_MAX || (length && !utf8_is_printable(words[code], length)))
      return error_set(w->error, VQCT_INVALID,
                       "the word of code %zu is longer than %d bytes or not UTF-8 text without "
                       "control characters",
                       code, MODEL_WORD_BYTES_MAX);
    offsets[code + 1] = offsets[code] + length + 1;
  }
  char *bytes = arena_calloc(&w->arena, offsets[codes], 1);
  if (!bytes)
    return exhausted(w);
  for (size_t code = 0; words && code < codes; code++)
    memcpy(bytes + offsets[code], words[code], strlen(words[code]));
  add(w, MODEL_WORDS, TENSOR_U8, 1, (size_t[]){offsets[codes]}, bytes);
  add(w, MODEL_WORD_OFFSETS, TENSOR_U64, 1, (size_t[]){codes + 1}, offsets);
  return VQCT_OK;
}

static enum vqct_status add_codebook(struct writing *w) {
  const struct model_config *config = w->content->config;
  size_t codes = (size_t)model_config_codes(config);
  size_t shape[2] = {codes, (size_t)config->code_dimension};
  unsigned char *parts = arena_alloc(&w->arena, codes);
  const uint64_t *counts = w->content->training_counts;
  if (!counts)
    counts = arena_calloc(&w->arena, codes, sizeof *counts);
  if (!parts || !counts)
    return exhausted(w);
  for (size_t code = 0; code < codes; code++)
    parts[code] = (unsigned char)model_code_part(config, code);
  add(w, MODEL_PARTS, TENSOR_U8, 1, &codes, parts);
  add(w, MODEL_COUNTS, TENSOR_U64, 1, &codes, counts);
  enum vqct_status status = add_words(w, codes);
  const struct tensor *codebook =
      add(w, MODEL_CODEBOOK, TENSOR_F32, 2, shape, w->content->codebook);
  return status ? status : check_finite(w, codebook);
}

static enum vqct_status write_model(const char *path, struct writing *w,
                                    const struct parameter_list *list, enum tensor_type type) {
  enum vqct_status status = VQCT_OK;
  w->tensor = arena_calloc(&w->arena, list->count + MODEL_OTHER_TENSORS, sizeof *w->tensor);
  if (!w->tensor)
    return exhausted(w);
  for (size_t i = 0; i < list->count; i++)
    if ((status = add_weight(w, &list->parameter[i], type)) != VQCT_OK)
      return error_prefix(w->error, "%s", path);
  status = add_codebook(w);
  if (status)
    return error_prefix(w->error, "%s", path);
  char *config = model_config_json(w->content->config);
  if (!config)
    return exhausted(w);
  const struct safetensors_text texts[] = {{MODEL_FORMAT_KEY, MODEL_FORMAT},
                                           {MODEL_CONFIG_KEY, config}};
  status = safetensors_save(path, w->tensor, w->tensors, texts, 2, w->error);
  free(config);
  return status;
}

enum vqct_status model_file_save(const char *path, const struct model_content *content,
                                 enum tensor_type type, struct vqct_error *error) {
  struct vqct_error unused = {VQCT_OK, ""};
  struct writing w = {.content = content, .error = error ? error : &unused};
  struct parameter_list list;
  enum vqct_status status = network_parameters(content->config, &list, error);
  if (status)
    return status;
  arena_init(&w.arena, 0);
  status = write_model(path, &w, &list, type);
  arena_free(&w.arena);
  parameter_list_free(&list);
  return status;
}
