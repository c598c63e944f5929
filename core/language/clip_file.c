/* All sizes come from the shapes of the tensors; config.json only says what shapes cannot show
 * (heads, activation, epsilon). Tensors of fp32 are used where they lie in the mapping, others
 * are converted once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "clip_network.h"
#include "error.h"

#define PATH_MAX_BYTES    ((size_t)4096)
#define CONFIG_MAX_BYTES  ((size_t)1 << 20)
#define DEFAULT_HEAD_SIZE ((size_t)64)
#define DEFAULT_EPSILON   1e-5F

/* ---- config.json ----------------------------------------------------------------------------- */

/* The text part of a whole model's configuration, or the root where the folder has only that. */
static const json_t *text_part(const json_t *root) {
  const json_t *text = json_object_get(root, "text_config");
  return json_is_object(text) ? text : root;
}

static enum vqct_status take_config(struct clip *clip, const json_t *root, const char *path,
                                    struct vqct_error *error) {
  const json_t *text = text_part(root), *heads = json_object_get(text, "num_attention_heads");
  const json_t *activation = json_object_get(text, "hidden_act");
  const json_t *epsilon = json_object_get(text, "layer_norm_eps");
  if (!json_is_object(root))
    return error_set(error, VQCT_MODEL, "%s: is not an object", path);
  if (heads) {
    json_int_t count = json_integer_value(heads);
    if (count < 1 || (uint64_t)count > clip->width || clip->width % (size_t)count)
      return error_set(error, VQCT_MODEL,
                       "%s: num_attention_heads must be a whole number that divides the width %zu",
                       path, clip->width);
    clip->heads = (size_t)count;
  }
  const char *name = activation ? json_string_value(activation) : "quick_gelu";
  if (!name || (strcmp(name, "quick_gelu") && strcmp(name, "gelu")))
    return error_set(error, VQCT_MODEL, "%s: hidden_act must be \"quick_gelu\" or \"gelu\"", path);
  clip->activation = strcmp(name, "gelu") ? CLIP_QUICK_GELU : CLIP_GELU;
  if (epsilon) {
    double value = json_number_value(epsilon);
    if (!(value > 0 && value < 1))
      return error_set(error, VQCT_MODEL, "%s: layer_norm_eps must be from 0 to 1", path);
    clip->epsilon = (float)value;
  }
  return VQCT_OK;
}

static enum vqct_status read_config(struct clip *clip, const char *path, struct vqct_error *error) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return errno == ENOENT ? VQCT_OK : error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  char *text = malloc(CONFIG_MAX_BYTES);
  enum vqct_status status = VQCT_OK;
  if (!text) {
    status = error_set(error, VQCT_MEMORY, "%s: no memory to read it", path);
    goto done;
  }
  size_t size = fread(text, 1, CONFIG_MAX_BYTES, file);
  json_error_t fault;
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &fault);
  status = root ? take_config(clip, root, path, error)
                : error_set(error, VQCT_MODEL, "%s:%d: %s", path, fault.line, fault.text);
  json_decref(root);
done:
  free(text);
  fclose(file);
  return status;
}

/* ---- tensors --------------------------------------------------------------------------------- */

static const struct tensor *find_tensor(const struct clip *clip, const char *name, int dims,
                                        const char *path, struct vqct_error *error) {
  const struct tensor *tensor = safetensors_find(clip->file, name);
  if (!tensor)
    error_set(error, VQCT_MODEL, "%s: has no tensor '%s'", path, name);
  else if (!tensor_type_is_float(tensor->type) || tensor->dims != dims)
    error_set(error, VQCT_MODEL, "%s: '%s' is %s %s, where %d dimensions of floats are needed",
              path, name, tensor_type_name(tensor->type),
              tensor_shape_text(tensor->dims, tensor->shape).text, dims);
  else
    return tensor;
  return NULL;
}

/* The numbers of a tensor as fp32: in place where they are that already. */
static enum vqct_status take_tensor(struct clip *clip, const char *name, int dims, size_t rows,
                                    size_t columns, const char *path, const float **values,
                                    struct vqct_error *error) {
  size_t shape[2] = {rows, columns};
  const struct tensor *tensor = find_tensor(clip, name, dims, path, error);
  if (!tensor)
    return VQCT_MODEL;
  if (!tensor_has_shape(tensor, dims, shape))
    return error_set(error, VQCT_MODEL, "%s: '%s' is %s, where %s is needed", path, name,
                     tensor_shape_text(tensor->dims, tensor->shape).text,
                     tensor_shape_text(dims, shape).text);
  if (tensor_first_not_finite(tensor) != tensor->count)
    return error_set(error, VQCT_NOT_FINITE, "%s: '%s' holds a number that is not finite", path,
                     name);
  *values = tensor_floats(tensor);
  if (*values)
    return VQCT_OK;
  float *copy = malloc((tensor->count + 1) * sizeof *copy);
  if (!copy)
    return error_set(error, VQCT_MEMORY, "%s: no memory for '%s'", path, name);
  tensor_to_float(tensor, copy);
  clip->converted[clip->converted_count++] = copy;
  *values = copy;
  return VQCT_OK;
}

/* Where the parts of a layer lie: "text_model.encoder.layers.3." and so on. */
struct tensor_place {
  struct clip *clip;
  const char *path, *prefix;
  struct vqct_error *error;
};

static enum vqct_status take_norm(const struct tensor_place *place, const char *name,
                                  struct clip_norm *norm) {
  char full[128];
  size_t width = place->clip->width;
  snprintf(full, sizeof full, "%s%s.weight", place->prefix, name);
  enum vqct_status status =
      take_tensor(place->clip, full, 1, width, 0, place->path, &norm->scale, place->error);
  snprintf(full, sizeof full, "%s%s.bias", place->prefix, name);
  return status == VQCT_OK
             ? take_tensor(place->clip, full, 1, width, 0, place->path, &norm->shift, place->error)
             : status;
}

static enum vqct_status take_linear(const struct tensor_place *place, const char *name,
                                    size_t inputs, size_t outputs, struct linear *layer) {
  char full[128];
  layer->inputs = inputs;
  layer->outputs = outputs;
  snprintf(full, sizeof full, "%s%s.weight", place->prefix, name);
  enum vqct_status status =
      take_tensor(place->clip, full, 2, outputs, inputs, place->path, &layer->weight, place->error);
  snprintf(full, sizeof full, "%s%s.bias", place->prefix, name);
  return status == VQCT_OK ? take_tensor(place->clip, full, 1, outputs, 0, place->path,
                                         &layer->bias, place->error)
                           : status;
}

static enum vqct_status take_layer(struct clip *clip, size_t index, const char *path,
                                   struct vqct_error *error) {
  struct clip_layer *layer = &clip->layer[index];
  char prefix[64];
  snprintf(prefix, sizeof prefix, "text_model.encoder.layers.%zu.", index);
  struct tensor_place place = {clip, path, prefix, error};
  size_t width = clip->width;
  enum vqct_status status;
  if ((status = take_norm(&place, "layer_norm1", &layer->norm1)) ||
      (status = take_linear(&place, "self_attn.q_proj", width, width, &layer->query)) ||
      (status = take_linear(&place, "self_attn.k_proj", width, width, &layer->key)) ||
      (status = take_linear(&place, "self_attn.v_proj", width, width, &layer->value)) ||
      (status = take_linear(&place, "self_attn.out_proj", width, width, &layer->out)) ||
      (status = take_norm(&place, "layer_norm2", &layer->norm2)) ||
      (status = take_linear(&place, "mlp.fc1", width, clip->hidden, &layer->fc1)))
    return status;
  return take_linear(&place, "mlp.fc2", clip->hidden, width, &layer->fc2);
}

/* The network's sizes are those of its tensors. */
static enum vqct_status take_sizes(struct clip *clip, const char *path, struct vqct_error *error) {
  const struct tensor *tokens =
      find_tensor(clip, "text_model.embeddings.token_embedding.weight", 2, path, error);
  const struct tensor *positions =
      tokens ? find_tensor(clip, "text_model.embeddings.position_embedding.weight", 2, path, error)
             : NULL;
  const struct tensor *fc1 =
      positions ? find_tensor(clip, "text_model.encoder.layers.0.mlp.fc1.weight", 2, path, error)
                : NULL;
  const struct tensor *projection =
      fc1 ? find_tensor(clip, "text_projection.weight", 2, path, error) : NULL;
  if (!projection)
    return VQCT_MODEL;
  clip->vocabulary = tokens->shape[0];
  clip->width = tokens->shape[1];
  clip->positions = positions->shape[0];
  clip->hidden = fc1->shape[0];
  clip->dimension = projection->shape[0];
  char name[64];
  do
    snprintf(name, sizeof name, "text_model.encoder.layers.%zu.layer_norm1.weight", ++clip->layers);
  while (clip->layers <= CLIP_LAYERS_MAX && safetensors_find(clip->file, name));
  if (clip->width < 1 || clip->width > CLIP_WIDTH_MAX || clip->hidden < 1 ||
      clip->hidden > 8 * CLIP_WIDTH_MAX || clip->positions < 2 ||
      clip->positions > CLIP_POSITIONS_MAX || clip->dimension < 1 ||
      clip->dimension > CLIP_WIDTH_MAX || clip->layers > CLIP_LAYERS_MAX)
    return error_set(error, VQCT_MODEL,
                     "%s: width %zu, hidden %zu, %zu positions, %zu layers and dimension %zu are "
                     "beyond any CLIP",
                     path, clip->width, clip->hidden, clip->positions, clip->layers,
                     clip->dimension);
  return VQCT_OK;
}

static enum vqct_status take_network(struct clip *clip, const char *path,
                                     struct vqct_error *error) {
  struct tensor_place place = {clip, path, "text_model.", error};
  enum vqct_status status;
  clip->converted = calloc(safetensors_count(clip->file) + 1, sizeof *clip->converted);
  if (!clip->converted)
    return error_set(error, VQCT_MEMORY, "%s: no memory for its tensors", path);
  if ((status = take_tensor(clip, "text_model.embeddings.token_embedding.weight", 2,
                            clip->vocabulary, clip->width, path, &clip->token_embedding, error)) ||
      (status = take_tensor(clip, "text_model.embeddings.position_embedding.weight", 2,
                            clip->positions, clip->width, path, &clip->position_embedding, error)))
    return status;
  for (size_t i = 0; i < clip->layers; i++)
    if ((status = take_layer(clip, i, path, error)) != VQCT_OK)
      return status;
  if ((status = take_norm(&place, "final_layer_norm", &clip->final_norm)))
    return status;
  clip->projection = (struct linear){clip->width, clip->dimension, NULL, NULL};
  return take_tensor(clip, "text_projection.weight", 2, clip->dimension, clip->width, path,
                     &clip->projection.weight, error);
}

/* ---- the folder ------------------------------------------------------------------------------ */

struct paths {
  char model[PATH_MAX_BYTES], vocabulary[PATH_MAX_BYTES], merges[PATH_MAX_BYTES],
      config[PATH_MAX_BYTES];
};

static enum vqct_status make_paths(const char *folder, struct paths *paths,
                                   struct vqct_error *error) {
  if (strlen(folder) + sizeof "/model.safetensors" > PATH_MAX_BYTES)
    return error_set(error, VQCT_READ, "the path of the CLIP folder is too long");
  snprintf(paths->model, sizeof paths->model, "%s/model.safetensors", folder);
  snprintf(paths->vocabulary, sizeof paths->vocabulary, "%s/vocab.json", folder);
  snprintf(paths->merges, sizeof paths->merges, "%s/merges.txt", folder);
  snprintf(paths->config, sizeof paths->config, "%s/config.json", folder);
  return VQCT_OK;
}

static enum vqct_status read_folder(struct clip *clip, const struct paths *paths,
                                    struct vqct_error *error) {
  enum vqct_status status;
  if ((status = bpe_open(paths->vocabulary, paths->merges, &clip->bpe, error)) ||
      (status = safetensors_open(paths->model, &clip->file, error)) ||
      (status = take_sizes(clip, paths->model, error)))
    return status;
  clip->heads = clip->width % DEFAULT_HEAD_SIZE ? 0 : clip->width / DEFAULT_HEAD_SIZE;
  clip->epsilon = DEFAULT_EPSILON;
  if ((status = read_config(clip, paths->config, error)))
    return status;
  if (!clip->heads)
    return error_set(error, VQCT_MODEL,
                     "%s: a width of %zu is no multiple of 64, so config.json must tell the "
                     "number of heads",
                     paths->model, clip->width);
  if (bpe_tokens(clip->bpe) > clip->vocabulary)
    return error_set(error, VQCT_MODEL, "%s: %zu tokens, but the model knows %zu",
                     paths->vocabulary, bpe_tokens(clip->bpe), clip->vocabulary);
  return take_network(clip, paths->model, error);
}

enum vqct_status clip_open(const char *folder, struct clip **result, struct vqct_error *error) {
  *result = NULL;
  struct paths *paths = malloc(sizeof *paths);
  struct clip *clip = calloc(1, sizeof *clip);
  enum vqct_status status;
  if (!paths || !clip)
    status = error_set(error, VQCT_MEMORY, "%s: no memory to open it", folder);
  else if ((status = make_paths(folder, paths, error)) == VQCT_OK)
    status = read_folder(clip, paths, error);
  free(paths);
  if (status != VQCT_OK)
    clip_close(clip);
  else
    *result = clip;
  return status;
}

void clip_close(struct clip *clip) {
  if (!clip)
    return;
  for (size_t i = 0; i < clip->converted_count; i++)
    free(clip->converted[i]);
  free(clip->converted);
  safetensors_close(clip->file);
  bpe_close(clip->bpe);
  free(clip);
}
