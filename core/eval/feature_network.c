/* A file's names tell which of the networks it holds; only then is it read as that. */
#include "feature_network.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "inception.h"
#include "perceptual.h"
#include "perceptual_network.h"

#define TORCHVISION_CLASSES 1000 /* of its own Inception; that of the published FID has 1,008 */

/* One of the two is there. */
struct features {
  const char *measure;
  struct inception *inception;
  struct perceptual *perceptual;
};

/* torchvision trained the network anew: distances on that are not the published ones. */
static const char *inception_measure(const struct safetensors *file) {
  const struct tensor *classes = safetensors_find(file, "fc.bias");
  return classes && classes->count == TORCHVISION_CLASSES
             ? "Frechet distance, torchvision's Inception v3 pool"
             : "FID";
}

static enum vqct_status read_features(const char *path, struct features *features,
                                      struct vqct_error *error) {
  struct network_file from = {.path = path, .error = error};
  enum vqct_status status = safetensors_open(path, &from.file, error);
  if (status != VQCT_OK)
    return status;
  bool inception = safetensors_find(from.file, "Conv2d_1a_3x3.conv.weight") != NULL;
  if (inception) {
    features->measure = inception_measure(from.file);
    status = inception_read(&from, &features->inception);
  }
  safetensors_close(from.file);
  if (inception)
    return status;
  status = perceptual_read(path, false, &features->perceptual, error);
  if (status != VQCT_OK)
    return status;
  features->measure = strcmp(perceptual_name(features->perceptual), "vgg") == 0
                          ? "Frechet distance, VGG16 pool"
                          : "Frechet distance, SqueezeNet 1.1 pool";
  return VQCT_OK;
}

enum vqct_status features_open(const char *path, struct features **features,
                               struct vqct_error *error) {
  struct features *opened = calloc(1, sizeof *opened);
  *features = NULL;
  if (!opened)
    return error_set(error, VQCT_MEMORY, "no memory for %s", path);
  enum vqct_status status = read_features(path, opened, error);
  if (status == VQCT_OK)
    *features = opened;
  else
    features_free(opened);
  return status;
}

void features_free(struct features *features) {
  if (!features)
    return;
  inception_free(features->inception);
  perceptual_free(features->perceptual);
  free(features);
}

const char *features_measure(const struct features *features) {
  return features->measure;
}

size_t features_dimension(const struct features *features) {
  return features->inception ? inception_pool_size() : perceptual_pool_size(features->perceptual);
}

enum vqct_status features_of_pair(const struct features *features, const float *x, const float *y,
                                  int height, int width, float *values, const struct exec *exec,
                                  struct vqct_error *error) {
  if (features->inception)
    return inception_pool(features->inception, x, y, height, width, values, exec, error);
  return perceptual_pool(features->perceptual, x, y, height, width, values, exec, error);
}
