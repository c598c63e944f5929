/* Weights are checked before they are used, since a network with a tensor of another shape, or with
 * NaN, would give measures that look like measures. */
#include "network_file.h"

#include <stdlib.h>

#include "error.h"

enum vqct_status network_file_read(const struct network_file *from, const char *name, int dims,
                                   const size_t *shape, float **values) {
  const struct tensor *tensor = safetensors_find(from->file, name);
  if (!tensor)
    return error_set(from->error, VQCT_MODEL, "%s: there is no tensor %s", from->path, name);
  if (!tensor_has_shape(tensor, dims, shape) || !tensor_type_is_float(tensor->type))
    return error_set(from->error, VQCT_MODEL, "%s: %s is %s %s, not floats of %s", from->path, name,
                     tensor_type_name(tensor->type),
                     tensor_shape_text(tensor->dims, tensor->shape).text,
                     tensor_shape_text(dims, shape).text);
  if (tensor_first_not_finite(tensor) < tensor->count)
    return error_set(from->error, VQCT_NOT_FINITE, "%s: %s holds NaN or infinity", from->path,
                     name);
  if (!(*values = malloc(tensor->count * sizeof **values)))
    return error_set(from->error, VQCT_MEMORY, "no memory for %s", from->path);
  tensor_to_float(tensor, *values);
  return VQCT_OK;
}

void positions_mean(const float *x, size_t positions, size_t channels, float *mean) {
  for (size_t c = 0; c < channels; c++) {
    double sum = 0;
    for (size_t i = 0; i < positions; i++)
      sum += (double)x[i * channels + c];
    mean[c] = (float)(sum / (double)positions);
  }
}
