/* Both networks as tables of stages. A file says by its names which of them it holds, and whether
 * torchvision or the lpips package wrote it; the linear heads, which stand in the latter alone, are
 * read only where distances are wanted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "network_file.h"
#include "perceptual.h"
#include "perceptual_network.h"

#define SLICES_MAX  7  /* of the lpips package, counted from 1 */
#define ALEX_KERNEL 11 /* of the first convolution of AlexNet, the package's own choice */

/* One stage of a published network. */
struct stage_plan {
  enum stage_kind kind;
  int feature, channels; /* channels written; 0 for a pooling */
  int squeeze;           /* fire: channels between */
  bool tap;
};

static const struct stage_plan squeeze_plan[] = {
    {STAGE_CONVOLUTION, 0, 64, 0, true}, {STAGE_POOL, 2, 0, 0, false},
    {STAGE_FIRE, 3, 128, 16, false},     {STAGE_FIRE, 4, 128, 16, true},
    {STAGE_POOL, 5, 0, 0, false},        {STAGE_FIRE, 6, 256, 32, false},
    {STAGE_FIRE, 7, 256, 32, true},      {STAGE_POOL, 8, 0, 0, false},
    {STAGE_FIRE, 9, 384, 48, true},      {STAGE_FIRE, 10, 384, 48, true},
    {STAGE_FIRE, 11, 512, 64, true},     {STAGE_FIRE, 12, 512, 64, true},
};

static const struct stage_plan vgg_plan[] = {
    {STAGE_CONVOLUTION, 0, 64, 0, false},   {STAGE_CONVOLUTION, 2, 64, 0, true},
    {STAGE_POOL, 4, 0, 0, false},           {STAGE_CONVOLUTION, 5, 128, 0, false},
    {STAGE_CONVOLUTION, 7, 128, 0, true},   {STAGE_POOL, 9, 0, 0, false},
    {STAGE_CONVOLUTION, 10, 256, 0, false}, {STAGE_CONVOLUTION, 12, 256, 0, false},
    {STAGE_CONVOLUTION, 14, 256, 0, true},  {STAGE_POOL, 16, 0, 0, false},
    {STAGE_CONVOLUTION, 17, 512, 0, false}, {STAGE_CONVOLUTION, 19, 512, 0, false},
    {STAGE_CONVOLUTION, 21, 512, 0, true},  {STAGE_POOL, 23, 0, 0, false},
    {STAGE_CONVOLUTION, 24, 512, 0, false}, {STAGE_CONVOLUTION, 26, 512, 0, false},
    {STAGE_CONVOLUTION, 28, 512, 0, true},
};

/* "features.3.squeeze" is torchvision's name; the lpips package puts its stages into slices and
 * calls the same layer "net.slice2.3.squeeze". */
struct layer_name {
  char text[64];
};

static struct layer_name find_layer(const struct safetensors *file, const char *feature) {
  struct layer_name name;
  char weight[80];
  for (int slice = 1; slice <= SLICES_MAX; slice++) {
    snprintf(name.text, sizeof name.text, "net.slice%d.%s", slice, feature);
    snprintf(weight, sizeof weight, "%s.weight", name.text);
    if (safetensors_find(file, weight))
      return name;
  }
  snprintf(name.text, sizeof name.text, "features.%s", feature);
  return name;
}

static enum vqct_status read_convolution(const struct network_file *from, const char *feature,
                                         const struct conv_shape *shape,
                                         struct perceptual_convolution *convolution) {
  char tensor[80];
  struct layer_name name = find_layer(from->file, feature);
  size_t out = (size_t)shape->out_channels, kernel = (size_t)shape->kernel;
  size_t dims[] = {out, (size_t)shape->in_channels, kernel, kernel};
  convolution->shape = *shape;
  snprintf(tensor, sizeof tensor, "%s.weight", name.text);
  enum vqct_status status = network_file_read(from, tensor, 4, dims, &convolution->weight);
  if (status != VQCT_OK)
    return status;
  snprintf(tensor, sizeof tensor, "%s.bias", name.text);
  status = network_file_read(from, tensor, 1, dims, &convolution->bias);
  if (status != VQCT_OK)
    return status;
  /* Features of two nearly equal pictures are compared, and their rounding errors stay. */
  const struct conv_use use = {.precise = true};
  return conv_new(shape, convolution->weight, convolution->bias, &use, &convolution->conv,
                  from->error);
}

static enum vqct_status read_fire(const struct network_file *from, int in, int squeeze,
                                  struct stage *stage) {
  static const char *const names[FIRE_CONVOLUTIONS] = {"squeeze", "expand1x1", "expand3x3"};
  const struct conv_shape shapes[FIRE_CONVOLUTIONS] = {
      {in, squeeze, 1, 1, 0, 0},
      {squeeze, stage->channels / 2, 1, 1, 0, 0},
      {squeeze, stage->channels / 2, 3, 1, 1, 1},
  };
  enum vqct_status status = VQCT_OK;
  stage->convolutions = FIRE_CONVOLUTIONS;
  for (int i = 0; i < FIRE_CONVOLUTIONS && status == VQCT_OK; i++) {
    char name[48];
    snprintf(name, sizeof name, "%d.%s", stage->feature, names[i]);
    status = read_convolution(from, name, &shapes[i], &stage->convolution[i]);
  }
  return status;
}

/* Reads one stage, which gets `in` channels; head -1: without its linear head. */
static enum vqct_status read_stage(const struct network_file *from, const struct stage_plan *plan,
                                   bool squeeze, int in, int head, struct stage *stage) {
  char name[48];
  enum vqct_status status = VQCT_OK;
  *stage = (struct stage){.kind = plan->kind,
                          .feature = plan->feature,
                          .channels = plan->kind == STAGE_POOL ? in : plan->channels};
  if (plan->kind == STAGE_FIRE) {
    status = read_fire(from, in, plan->squeeze, stage);
  } else if (plan->kind == STAGE_CONVOLUTION) {
    const struct conv_shape shape = {in, plan->channels, 3, squeeze ? 2 : 1, !squeeze, !squeeze};
    stage->convolutions = 1;
    snprintf(name, sizeof name, "%d", plan->feature);
    status = read_convolution(from, name, &shape, &stage->convolution[0]);
  }
  if (status != VQCT_OK || !plan->tap || head < 0)
    return status;
  size_t shape[] = {1, (size_t)stage->channels, 1, 1};
  snprintf(name, sizeof name, "lin%d.model.1.weight", head);
  return network_file_read(from, name, 4, shape, &stage->head);
}

static const struct tensor *layer_weight(const struct safetensors *file, const char *feature) {
  char weight[80];
  snprintf(weight, sizeof weight, "%s.weight", find_layer(file, feature).text);
  return safetensors_find(file, weight);
}

static enum vqct_status read_network(const struct network_file *from, bool compared,
                                     struct perceptual *network) {
  bool squeeze = layer_weight(from->file, "3.squeeze") != NULL;
  const struct tensor *first = layer_weight(from->file, "0");
  if (!first)
    return error_set(from->error, VQCT_MODEL,
                     "%s: there is no tensor features.0.weight or net.slice1.0.weight: weights of "
                     "LPIPS are wanted, as docs/training.md tells how to write them",
                     from->path);
  if (first->dims == 4 && first->shape[2] == ALEX_KERNEL)
    return error_set(from->error, VQCT_MODEL,
                     "%s: weights of AlexNet; those of SqueezeNet 1.1 or VGG16 are wanted",
                     from->path);
  const struct stage_plan *plan = squeeze ? squeeze_plan : vgg_plan;
  int stages = (int)(squeeze ? sizeof squeeze_plan / sizeof *squeeze_plan
                             : sizeof vgg_plan / sizeof *vgg_plan);
  int channels = 3, heads = 0;
  network->name = squeeze ? "squeeze" : "vgg";
  network->pool_kernel = squeeze ? 3 : 2;
  network->pool_ceiling = squeeze;
  for (int i = 0; i < stages; i++) {
    struct stage *stage = &network->stage[network->stages++];
    enum vqct_status status =
        read_stage(from, &plan[i], squeeze, channels, compared ? heads : -1, stage);
    if (status != VQCT_OK)
      return status;
    channels = stage->channels;
    heads += plan[i].tap;
  }
  return VQCT_OK;
}

enum vqct_status perceptual_read(const char *path, bool compared, struct perceptual **perceptual,
                                 struct vqct_error *error) {
  struct network_file from = {.path = path, .error = error};
  *perceptual = NULL;
  enum vqct_status status = safetensors_open(path, &from.file, error);
  if (status != VQCT_OK)
    return status;
  struct perceptual *network = calloc(1, sizeof *network);
  if (!network) {
    status = error_set(error, VQCT_MEMORY, "no memory for %s", path);
    goto done;
  }
  status = read_network(&from, compared, network);
  if (status != VQCT_OK) {
    perceptual_free(network);
    goto done;
  }
  *perceptual = network;
done:
  safetensors_close(from.file);
  return status;
}

enum vqct_status perceptual_open(const char *path, struct perceptual **perceptual,
                                 struct vqct_error *error) {
  return perceptual_read(path, true, perceptual, error);
}

void perceptual_free(struct perceptual *perceptual) {
  if (!perceptual)
    return;
  for (int i = 0; i < perceptual->stages; i++) {
    struct stage *stage = &perceptual->stage[i];
    free(stage->head);
    for (int k = 0; k < stage->convolutions; k++) {
      free(stage->convolution[k].weight);
      free(stage->convolution[k].bias);
      conv_free(stage->convolution[k].conv);
    }
  }
  free(perceptual);
}

const char *perceptual_name(const struct perceptual *perceptual) {
  return perceptual->name;
}
