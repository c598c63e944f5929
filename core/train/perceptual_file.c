#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "perceptual.h"
#include "perceptual_network.h"
#include "safetensors.h"

/* One stage of a published network. */
struct plan {
  enum stage_kind kind;
  int feature, channels; /* channels written; 0 for a pooling */
  int squeeze;           /* fire: channels between */
  bool tap;
};

static const struct plan squeeze_plan[] = {
    {STAGE_CONVOLUTION, 0, 64, 0, true}, {STAGE_POOL, 2, 0, 0, false},
    {STAGE_FIRE, 3, 128, 16, false},     {STAGE_FIRE, 4, 128, 16, true},
    {STAGE_POOL, 5, 0, 0, false},        {STAGE_FIRE, 6, 256, 32, false},
    {STAGE_FIRE, 7, 256, 32, true},      {STAGE_POOL, 8, 0, 0, false},
    {STAGE_FIRE, 9, 384, 48, true},      {STAGE_FIRE, 10, 384, 48, true},
    {STAGE_FIRE, 11, 512, 64, true},     {STAGE_FIRE, 12, 512, 64, true},
};

static const struct plan vgg_plan[] = {
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

/* What reading a file needs. */
struct reading {
  const char *path;
  struct safetensors *file;
  struct vqct_error *error;
};

/* Copies a tensor of exactly this shape into memory from malloc. */
static enum vqct_status read_tensor(const struct reading *reading, const char *name, int dims,
                                    const size_t *shape, float **values) {
  const struct tensor *tensor = safetensors_find(reading->file, name);
  if (!tensor)
    return error_set(reading->error, VQCT_MODEL, "%s: there is no tensor %s", reading->path, name);
  if (!tensor_has_shape(tensor, dims, shape) || !tensor_type_is_float(tensor->type))
    return error_set(reading->error, VQCT_MODEL, "%s: %s is %s %s, not floats of %s", reading->path,
                     name, tensor_type_name(tensor->type),
                     tensor_shape_text(tensor->dims, tensor->shape).text,
                     tensor_shape_text(dims, shape).text);
  if (tensor_first_not_finite(tensor) < tensor->count)
    return error_set(reading->error, VQCT_NOT_FINITE, "%s: %s holds NaN or infinity", reading->path,
                     name);
  if (!(*values = malloc(tensor->count * sizeof **values)))
    return error_set(reading->error, VQCT_MEMORY, "no memory for %s", reading->path);
  tensor_to_float(tensor, *values);
  return VQCT_OK;
}

static enum vqct_status read_convolution(const struct reading *reading, const char *name,
                                         const struct conv_shape *shape,
                                         struct perceptual_convolution *convolution) {
  char tensor[64];
  size_t out = (size_t)shape->out_channels, kernel = (size_t)shape->kernel;
  size_t dims[] = {out, (size_t)shape->in_channels, kernel, kernel};
  convolution->shape = *shape;
  snprintf(tensor, sizeof tensor, "%s.weight", name);
  enum vqct_status status = read_tensor(reading, tensor, 4, dims, &convolution->weight);
  snprintf(tensor, sizeof tensor, "%s.bias", name);
  if (status == VQCT_OK)
    status = read_tensor(reading, tensor, 1, dims, &convolution->bias);
  if (status == VQCT_OK)
    status =
        conv_new(shape, convolution->weight, convolution->bias, &convolution->conv, reading->error);
  return status;
}

static enum vqct_status read_fire(const struct reading *reading, int in, int squeeze,
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
    snprintf(name, sizeof name, "features.%d.%s", stage->feature, names[i]);
    status = read_convolution(reading, name, &shapes[i], &stage->convolution[i]);
  }
  return status;
}

/* Reads one stage, which gets `in` channels. */
static enum vqct_status read_stage(const struct reading *reading, const struct plan *plan,
                                   bool squeeze, int in, int head, struct stage *stage) {
  char name[48];
  enum vqct_status status = VQCT_OK;
  *stage = (struct stage){.kind = plan->kind,
                          .feature = plan->feature,
                          .channels = plan->kind == STAGE_POOL ? in : plan->channels};
  if (plan->kind == STAGE_FIRE) {
    status = read_fire(reading, in, plan->squeeze, stage);
  } else if (plan->kind == STAGE_CONVOLUTION) {
    const struct conv_shape shape = {in, plan->channels, 3, squeeze ? 2 : 1, !squeeze, !squeeze};
    stage->convolutions = 1;
    snprintf(name, sizeof name, "features.%d", plan->feature);
    status = read_convolution(reading, name, &shape, &stage->convolution[0]);
  }
  if (status == VQCT_OK && plan->tap) {
    size_t shape[] = {1, (size_t)stage->channels, 1, 1};
    snprintf(name, sizeof name, "lin%d.model.1.weight", head);
    status = read_tensor(reading, name, 4, shape, &stage->head);
  }
  return status;
}

static enum vqct_status read_network(const struct reading *reading, struct perceptual *network) {
  bool squeeze = safetensors_find(reading->file, "features.3.squeeze.weight") != NULL;
  const struct plan *plan = squeeze ? squeeze_plan : vgg_plan;
  int stages = (int)(squeeze ? sizeof squeeze_plan / sizeof *squeeze_plan
                             : sizeof vgg_plan / sizeof *vgg_plan);
  int channels = 3, heads = 0;
  network->name = squeeze ? "squeeze" : "vgg";
  network->pool_kernel = squeeze ? 3 : 2;
  network->pool_ceiling = squeeze;
  for (int i = 0; i < stages; i++) {
    struct stage *stage = &network->stage[network->stages++];
    enum vqct_status status = read_stage(reading, &plan[i], squeeze, channels, heads, stage);
    if (status != VQCT_OK)
      return status;
    channels = stage->channels;
    heads += plan[i].tap;
  }
  return VQCT_OK;
}

enum vqct_status perceptual_open(const char *path, struct perceptual **perceptual,
                                 struct vqct_error *error) {
  struct reading reading = {.path = path, .error = error};
  *perceptual = NULL;
  struct perceptual *network = NULL;
  enum vqct_status status = safetensors_open(path, &reading.file, error);
  if (status == VQCT_OK && !(network = calloc(1, sizeof *network)))
    status = error_set(error, VQCT_MEMORY, "no memory for %s", path);
  if (status == VQCT_OK)
    status = read_network(&reading, network);
  safetensors_close(reading.file);
  if (status == VQCT_OK)
    *perceptual = network;
  else
    perceptual_free(network);
  return status;
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
