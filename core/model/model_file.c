/* A file is believed in nothing: every tensor that the configuration asks for must be there with
 * its type and shape and without NaN, every word must be text that ends where the next begins, and
 * no tensor may be left over. Messages name the file and the tensor. What a model keeps for its
 * whole life is copied by model_file_detach, and the weights, which are packed by then, are let go.
 */
#include "model_file.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "model_names.h"
#include "utf8.h"

/* A file being opened: what is known so far, and how it is called in messages. */
struct model_reading {
  struct model_file *model;
  const char *name;
  struct vqct_error *error;
};

static enum vqct_status fault(const struct model_reading *r, const char *tensor, const char *what) {
  return error_set(r->error, VQCT_MODEL, "%s: tensor \"%.100s\" %s", r->name, tensor, what);
}

static enum vqct_status read_config(const struct model_reading *r) {
  const char *format = safetensors_metadata(r->model->file, MODEL_FORMAT_KEY);
  const char *config = safetensors_metadata(r->model->file, MODEL_CONFIG_KEY);
  if (!format || !config)
    return error_set(r->error, VQCT_MODEL,
                     "%s: not a vqct model: its metadata has no %s; import it first", r->name,
                     format ? MODEL_CONFIG_KEY : MODEL_FORMAT_KEY);
  if (strcmp(format, MODEL_FORMAT) != 0)
    return error_set(r->error, VQCT_MODEL, "%s: format \"%.20s\" is not known, only " MODEL_FORMAT,
                     r->name, format);
  enum vqct_status status = model_config_parse(config, strlen(config), &r->model->config, r->error);
  return status ? error_prefix(r->error, "%s", r->name) : VQCT_OK;
}

static enum vqct_status check_shape(const struct model_reading *r, const struct tensor *tensor,
                                    int dims, const size_t *shape) {
  if (tensor_has_shape(tensor, dims, shape))
    return VQCT_OK;
  return error_set(r->error, VQCT_MODEL, "%s: tensor \"%s\" has shape %s, not %s", r->name,
                   tensor->name, tensor_shape_text(tensor->dims, tensor->shape).text,
                   tensor_shape_text(dims, shape).text);
}

static enum vqct_status check_finite(const struct model_reading *r, const struct tensor *tensor) {
  size_t place = tensor_first_not_finite(tensor);
  if (place == tensor->count)
    return VQCT_OK;
  return error_set(r->error, VQCT_NOT_FINITE, "%s: tensor \"%s\" has NaN or infinity at number %zu",
                   r->name, tensor->name, place);
}

static enum vqct_status read_weight(const struct model_reading *r, size_t index) {
  const struct parameter *p = &r->model->parameters.parameter[index];
  const struct tensor *tensor = safetensors_find(r->model->file, p->name);
  size_t shape[4];
  if (!tensor)
    return fault(r, p->name, "is missing");
  for (int i = 0; i < p->dims; i++)
    shape[i] = (size_t)p->shape[i];
  if (tensor->type != TENSOR_F32 && tensor->type != TENSOR_F16 && tensor->type != TENSOR_BF16)
    return fault(r, p->name, "is not of type F32, F16 or BF16");
  r->model->weight[index] = tensor;
  enum vqct_status status = check_shape(r, tensor, p->dims, shape);
  return status ? status : check_finite(r, tensor);
}

static enum vqct_status read_weights(const struct model_reading *r) {
  struct model_file *model = r->model;
  enum vqct_status status = network_parameters(&model->config, &model->parameters, r->error);
  if (status)
    return status;
  model->weight = calloc(model->parameters.count, sizeof *model->weight);
  if (!model->weight)
    return error_set(r->error, VQCT_MEMORY, "%s: memory is exhausted", r->name);
  for (size_t i = 0; i < model->parameters.count; i++)
    if ((status = read_weight(r, i)) != VQCT_OK)
      return status;
  model->weight_type = model->weight[0]->type;
  return VQCT_OK;
}

/* A tensor that is used where it lies. dims 0: any list of numbers. */
static enum vqct_status find_in_place(const struct model_reading *r, const char *name,
                                      enum tensor_type type, int dims, const size_t *shape,
                                      const struct tensor **tensor) {
  *tensor = safetensors_find(r->model->file, name);
  if (!*tensor)
    return fault(r, name, "is missing");
  if ((*tensor)->type != type)
    return error_set(r->error, VQCT_MODEL, "%s: tensor \"%s\" is not of type %s", r->name, name,
                     tensor_type_name(type));
  if ((uintptr_t)(*tensor)->data % tensor_type_size(type) != 0)
    return fault(r, name, "is not aligned to the size of its numbers");
  return check_shape(r, *tensor, dims ? dims : 1, dims ? shape : &(*tensor)->count);
}

static enum vqct_status check_parts(const struct model_reading *r, const struct tensor *parts) {
  const unsigned char *part = parts->data;
  for (size_t code = 0; code < parts->count; code++)
    if (part[code] != (unsigned char)model_code_part(&r->model->config, code))
      return error_set(r->error, VQCT_MODEL,
                       "%s: tensor \"" MODEL_PARTS "\" says %u of code %zu, not %u", r->name,
                       part[code], code, (unsigned)model_code_part(&r->model->config, code));
  return VQCT_OK;
}

/* Every word must end in its only zero byte, where the next begins. */
static enum vqct_status check_words(const struct model_reading *r, const struct tensor *words,
                                    const struct tensor *offsets) {
  const struct model_file *model = r->model;
  const uint64_t *offset = model->word_offsets;
  if (offset[0] != 0 || offset[offsets->count - 1] != words->count)
    return fault(r, MODEL_WORD_OFFSETS, "does not cover all bytes of the words");
  for (size_t code = 0; code + 1 < offsets->count; code++) {
    uint64_t begin = offset[code], end = offset[code + 1];
    if (begin >= end || end > words->count || end - begin > MODEL_WORD_BYTES_MAX + 1)
      return error_set(r->error, VQCT_MODEL,
                       "%s: tensor \"" MODEL_WORD_OFFSETS "\": the word of code %zu is not 0 to %d "
                       "bytes long",
                       r->name, code, MODEL_WORD_BYTES_MAX);
    size_t length = (size_t)(end - begin) - 1;
    if (model->words[end - 1] != '\0' || !utf8_is_printable(model->words + begin, length))
      return error_set(r->error, VQCT_MODEL,
                       "%s: tensor \"" MODEL_WORDS "\": the word of code %zu is not UTF-8 text "
                       "without control characters, ended by a zero byte",
                       r->name, code);
  }
  return VQCT_OK;
}

static enum vqct_status read_words(const struct model_reading *r) {
  const struct tensor *words, *offsets, *parts, *counts;
  size_t codes = (size_t)model_config_codes(&r->model->config);
  enum vqct_status status = find_in_place(r, MODEL_WORDS, TENSOR_U8, 0, NULL, &words);
  if (status)
    return status;
  status = find_in_place(r, MODEL_WORD_OFFSETS, TENSOR_U64, 1, (size_t[]){codes + 1}, &offsets);
  if (status)
    return status;
  status = find_in_place(r, MODEL_PARTS, TENSOR_U8, 1, &codes, &parts);
  if (status)
    return status;
  status = find_in_place(r, MODEL_COUNTS, TENSOR_U64, 1, &codes, &counts);
  if (status)
    return status;
  status = check_parts(r, parts);
  if (status)
    return status;
  r->model->words = words->data;
  r->model->word_offsets = offsets->data;
  r->model->training_counts = counts->data;
  return check_words(r, words, offsets);
}

static enum vqct_status read_codebook(const struct model_reading *r) {
  const struct model_config *config = &r->model->config;
  const struct tensor *codebook;
  size_t shape[2] = {(size_t)model_config_codes(config), (size_t)config->code_dimension};
  enum vqct_status status = find_in_place(r, MODEL_CODEBOOK, TENSOR_F32, 2, shape, &codebook);
  if (status)
    return status;
  r->model->codebook = codebook->data;
  return check_finite(r, codebook);
}

static enum vqct_status check_unexpected(const struct model_reading *r) {
  static const char *const others[MODEL_OTHER_TENSORS] = {
      MODEL_CODEBOOK, MODEL_WORDS, MODEL_WORD_OFFSETS, MODEL_PARTS, MODEL_COUNTS};
  const struct model_file *model = r->model;
  size_t count = safetensors_count(model->file);
  if (count == model->parameters.count + MODEL_OTHER_TENSORS)
    return VQCT_OK;
  for (size_t i = 0; i < count; i++) {
    const char *name = safetensors_tensor(model->file, i)->name;
    bool known = parameter_find(&model->parameters, name) != NULL;
    for (size_t n = 0; n < MODEL_OTHER_TENSORS; n++)
      known = known || strcmp(name, others[n]) == 0;
    if (!known)
      return fault(r, name, "is unexpected");
  }
  return VQCT_OK;
}

static enum vqct_status read_contents(const struct model_reading *r) {
  enum vqct_status status = read_config(r);
  if (status)
    return status;
  status = read_weights(r);
  if (status)
    return status;
  status = read_codebook(r);
  if (status)
    return status;
  status = read_words(r);
  if (status)
    return status;
  return check_unexpected(r);
}

/* Reads what the opened safetensors file says; frees all of it on failure. */
static enum vqct_status read_model(const char *name, struct model_file *model,
                                   struct vqct_error *error) {
  struct model_reading r = {model, name, error};
  const void *bytes = safetensors_bytes(model->file, &model->bytes);
  enum vqct_status status = read_contents(&r);
  if (!status)
    status = checksum_bytes(bytes, model->bytes, model->checksum, error);
  if (status)
    model_file_close(model);
  return status;
}

enum vqct_status model_file_open(const char *path, struct model_file *file,
                                 struct vqct_error *error) {
  *file = (struct model_file){0};
  enum vqct_status status = safetensors_copy(path, &file->file, error);
  return status ? status : read_model(path, file, error);
}

enum vqct_status model_file_parse(const char *name, const void *data, size_t size,
                                  struct model_file *file, struct vqct_error *error) {
  *file = (struct model_file){0};
  enum vqct_status status = safetensors_parse(name, data, size, &file->file, error);
  return status ? status : read_model(name, file, error);
}

enum vqct_status model_file_detach(struct model_file *file, struct vqct_error *error) {
  size_t codes = (size_t)model_config_codes(&file->config);
  /* All of them lie in one mapping, so their sizes have a sum. */
  size_t offsets = (codes + 1) * sizeof *file->word_offsets;
  size_t counts = codes * sizeof *file->training_counts;
  size_t codebook = codes * (size_t)file->config.code_dimension * sizeof *file->codebook;
  size_t words = (size_t)file->word_offsets[codes];
  unsigned char *copy = malloc(offsets + counts + codebook + words);
  if (!copy)
    return error_set(error, VQCT_MEMORY, "%s: no memory for the codebook", file->config.name);
  file->copies = copy;
  file->word_offsets = memcpy(copy, file->word_offsets, offsets);
  file->training_counts = memcpy(copy += offsets, file->training_counts, counts);
  file->codebook = memcpy(copy += counts, file->codebook, codebook);
  file->words = memcpy(copy + codebook, file->words, words);
  free(file->weight);
  file->weight = NULL;
  safetensors_close(file->file);
  file->file = NULL;
  return VQCT_OK;
}

void model_file_close(struct model_file *file) {
  parameter_list_free(&file->parameters);
  free(file->weight);
  free(file->copies);
  safetensors_close(file->file);
  *file = (struct model_file){0};
}

const char *model_file_word(const struct model_file *file, size_t code) {
  return file->words + file->word_offsets[code];
}

enum vqct_part_of_speech model_code_part(const struct model_config *config, size_t code) {
  if (config->quantizer == QUANTIZER_PLAIN)
    return VQCT_NO_PART;
  return code < (size_t)config->adjectives ? VQCT_ADJECTIVE : VQCT_NOUN;
}
