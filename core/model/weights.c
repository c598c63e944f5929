#include "weights.h"

#include <stdlib.h>

#include "error.h"

enum vqct_status weights_init(struct weights *weights, const struct model_file *file,
                              struct vqct_error *error) {
  weights->file = file;
  weights->converted = calloc(file->parameters.count, sizeof *weights->converted);
  return weights->converted
             ? VQCT_OK
             : error_set(error, VQCT_MEMORY, "memory is exhausted reading %s", file->config.name);
}

void weights_free(struct weights *weights) {
  for (size_t i = 0; weights->converted && i < weights->file->parameters.count; i++)
    free(weights->converted[i]);
  free(weights->converted);
  *weights = (struct weights){0};
}

static enum vqct_status get_values(void *context, int index, const float **values,
                                   struct vqct_error *error) {
  struct weights *weights = context;
  const struct tensor *tensor = weights->file->weight[index];
  *values = tensor_floats(tensor);
  if (*values)
    return VQCT_OK;
  float **converted = &weights->converted[index];
  if (!*converted) {
    *converted = malloc(tensor->count * sizeof **converted);
    if (!*converted)
      return error_set(error, VQCT_MEMORY, "memory is exhausted converting tensor \"%s\"",
                       tensor->name);
    tensor_to_float(tensor, *converted);
  }
  *values = *converted;
  return VQCT_OK;
}

static void release_values(void *context, int index) {
  struct weights *weights = context;
  const struct tensor *tensor = weights->file->weight[index];
  free(weights->converted[index]);
  weights->converted[index] = NULL;
  safetensors_discard(weights->file->file, tensor->data,
                      tensor->count * tensor_type_size(tensor->type));
}

struct parameter_source weights_source(struct weights *weights) {
  return (struct parameter_source){
      .get = get_values, .release = release_values, .context = weights};
}

void weights_to_block(const struct model_file *file, float *block) {
  for (size_t i = 0; i < file->parameters.count; i++)
    tensor_to_float(file->weight[i], block + file->parameters.parameter[i].offset);
}
