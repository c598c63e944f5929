/* BatchNorm is GroupNorm with all pictures taken as one and each channel as a group of its own, so
 * the kernels of that are used. They add NORM_EPSILON to the variance; what BatchNorm adds beyond
 * it goes into the sum of squares. */
#include "discriminator.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conv.h"
#include "error.h"
#include "norm.h"
#include "norm_backward.h"

#define BATCH_NORM_EPSILON 1e-5
#define LEAK               0.2F
#define GROUPS             32   /* of GroupNorm, where the channels can be divided so */
#define DEVIATION          0.02 /* of first values */
#define NONE               (-1) /* a parameter that a layer does not have */

struct discriminator_layer {
  struct conv_shape shape;
  struct conv *conv;
  int weight, bias, gamma, beta; /* numbers of its parameters */
};

struct discriminator {
  int layers; /* convolutions */
  enum vqct_train_judge_norm norm;
  struct discriminator_layer layer[VQCT_TRAIN_LAYERS_MAX + 2];
  struct parameter_list parameters;
  const float *block; /* loaded */
};

static int add_parameter(struct discriminator *d, int module, const char *what, int dims,
                         const int *shape, struct parameter_start start) {
  char name[32];
  snprintf(name, sizeof name, "main.%d.%s", module, what);
  return (int)parameter_list_add(&d->parameters, name, dims, shape, start);
}

/* Lists layers and parameters; module counts as PyTorch's nn.Sequential does. */
static void plan(struct discriminator *d, const struct discriminator_settings *settings) {
  int in = settings->image_channels, module = 0;
  d->layers = settings->layers + 2;
  d->norm = settings->norm;
  for (int i = 0; i < d->layers; i++) {
    struct discriminator_layer *layer = &d->layer[i];
    bool first = i == 0, last = i == d->layers - 1;
    int out = last ? 1 : settings->channels << (i < 3 ? i : 3);
    layer->shape = (struct conv_shape){in, out, 4, i < settings->layers ? 2 : 1, 1, 1};
    double bound = (double)(1 / sqrtf((float)(in * 16)));
    layer->weight = add_parameter(d, module, "weight", 4, (const int[]){out, in, 4, 4},
                                  (struct parameter_start){PARAMETER_NORMAL, 0, DEVIATION});
    layer->bias = layer->gamma = layer->beta = NONE;
    if (first || last) {
      layer->bias = add_parameter(d, module, "bias", 1, &out,
                                  (struct parameter_start){PARAMETER_UNIFORM, 0, bound});
    } else {
      layer->gamma = add_parameter(d, module + 1, "weight", 1, &out,
                                   (struct parameter_start){PARAMETER_NORMAL, 1, DEVIATION});
      layer->beta = add_parameter(d, module + 1, "bias", 1, &out,
                                  (struct parameter_start){PARAMETER_CONSTANT, 0, 0});
    }
    module += first ? 2 : 3;
    in = out;
  }
}

enum vqct_status discriminator_new(const struct discriminator_settings *settings,
                                   struct discriminator **discriminator, struct vqct_error *error) {
  *discriminator = NULL;
  if (settings->image_channels < 1 || settings->image_channels > 3 || settings->channels < 1 ||
      settings->channels > 512 || settings->layers < 1 || settings->layers > VQCT_TRAIN_LAYERS_MAX)
    return error_set(error, VQCT_INVALID, "a discriminator of %d channels and %d layers",
                     settings->channels, settings->layers);
  struct discriminator *d = calloc(1, sizeof *d);
  if (!d)
    return error_set(error, VQCT_MEMORY, "no memory for the discriminator");
  plan(d, settings);
  if (d->parameters.failed) {
    discriminator_free(d);
    return error_set(error, VQCT_MEMORY, "no memory for the discriminator");
  }
  *discriminator = d;
  return VQCT_OK;
}

void discriminator_free(struct discriminator *d) {
  if (!d)
    return;
  for (int i = 0; i < d->layers; i++)
    conv_free(d->layer[i].conv);
  parameter_list_free(&d->parameters);
  free(d);
}

const struct parameter_list *discriminator_parameters(const struct discriminator *d) {
  return &d->parameters;
}

static const float *values(const struct discriminator *d, int parameter) {
  return parameter == NONE ? NULL : d->block + d->parameters.parameter[parameter].offset;
}

enum vqct_status discriminator_load(struct discriminator *d, const float *block, struct pool *pool,
                                    struct vqct_error *error) {
  d->block = block;
  for (int i = 0; i < d->layers; i++) {
    struct discriminator_layer *layer = &d->layer[i];
    const float *weight = values(d, layer->weight), *bias = values(d, layer->bias);
    if (layer->conv) {
      conv_update(layer->conv, weight, bias, pool);
    } else {
      const struct conv_use use = {.precise = true};
      enum vqct_status status = conv_new(&layer->shape, weight, bias, &use, &layer->conv, error);
      if (status != VQCT_OK)
        return status;
    }
  }
  return VQCT_OK;
}

/* ---- LeakyReLU ------------------------------------------------------------------------------- */

#define LEAKY_BLOCK ((size_t)1 << 14) /* numbers a task */

struct leaky {
  const float *value; /* after the activation for the backward pass: its sign is the same */
  float *result;      /* multiplied in place in the backward pass */
  size_t count;
  bool backward;
};

static void leaky_block(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct leaky *leaky = argument;
  size_t begin = task * LEAKY_BLOCK;
  size_t end = begin + LEAKY_BLOCK < leaky->count ? begin + LEAKY_BLOCK : leaky->count;
  const float *value = leaky->value;
  float *result = leaky->result;
  if (leaky->backward)
    for (size_t i = begin; i < end; i++)
      result[i] *= value[i] > 0 ? 1 : LEAK;
  else
    for (size_t i = begin; i < end; i++)
      result[i] = value[i] > 0 ? value[i] : LEAK * value[i];
}

static void leaky(const float *value, float *result, size_t count, bool backward,
                  const struct exec *exec) {
  struct leaky job = {value, result, count, backward};
  pool_run(exec->pool, (count + LEAKY_BLOCK - 1) / LEAKY_BLOCK, leaky_block, &job);
}

/* ---- forward --------------------------------------------------------------------------------- */

static size_t kept_positions(const struct discriminator_pass *pass, int i) {
  return (size_t)pass->images * (size_t)pass->kept[i].height * (size_t)pass->kept[i].width;
}

static size_t kept_size(const struct discriminator *d, const struct discriminator_pass *pass,
                        int i) {
  return kept_positions(pass, i) * (size_t)d->layer[i].shape.out_channels;
}

/* What a layer's norm takes as one. */
struct normed {
  size_t images, positions, channels, groups;
  const struct reduction *reduction; /* where the statistics are those of all processes */
};

static struct normed normed_of(const struct discriminator *d, const struct discriminator_pass *pass,
                               int i, const struct reduction *reduction) {
  size_t channels = (size_t)d->layer[i].shape.out_channels, positions = kept_positions(pass, i);
  size_t images = (size_t)pass->images, divisor = channels & (~channels + 1); /* a power of two */
  if (d->norm == VQCT_JUDGE_NORM_BATCH)
    return (struct normed){1, positions, channels, channels, reduction};
  return (struct normed){images, positions / images, channels, divisor < GROUPS ? divisor : GROUPS,
                         NULL};
}

/* Statistics of a layer, then normalisation into `active`. */
static enum vqct_status normalize(const struct discriminator *d, struct discriminator_pass *pass,
                                  int i, const struct reduction *reduction,
                                  const struct exec *exec) {
  struct discriminator_kept *kept = &pass->kept[i];
  const struct normed n = normed_of(d, pass, i, reduction);
  size_t count = n.images * n.groups;
  size_t all = n.positions * (size_t)(n.reduction ? n.reduction->ranks : 1);
  kept->sums = arena_alloc(exec->arena, 2 * count * sizeof *kept->sums);
  if (!kept->sums)
    return VQCT_MEMORY;
  kept->squares = kept->sums + count;
  struct arena_mark mark = arena_mark(exec->arena);
  float *scale = arena_alloc(exec->arena, 2 * n.images * n.channels * sizeof *scale);
  enum vqct_status status = VQCT_MEMORY;
  if (!scale)
    goto done;
  float *shift = scale + n.images * n.channels;
  status = group_norm_statistics(kept->convolved, n.images, n.positions, n.channels, n.groups,
                                 kept->sums, kept->squares, exec);
  if (status != VQCT_OK)
    goto done;
  if (n.reduction)
    n.reduction->sum(n.reduction->context, kept->sums, 2 * count);
  if (d->norm == VQCT_JUDGE_NORM_BATCH)
    for (size_t c = 0; c < count; c++)
      kept->squares[c] += (BATCH_NORM_EPSILON - NORM_EPSILON) * (double)all;
  group_norm_scale(kept->sums, kept->squares, values(d, d->layer[i].gamma),
                   values(d, d->layer[i].beta), n.images, all, n.channels, n.groups, scale, shift);
  norm_apply(kept->convolved, n.images, n.positions, n.channels, scale, shift, false, kept->active,
             exec);
done:
  arena_release(exec->arena, mark);
  return status;
}

static enum vqct_status layer_forward(const struct discriminator *d,
                                      struct discriminator_pass *pass, int i,
                                      const struct reduction *reduction, const struct exec *exec) {
  const struct discriminator_layer *layer = &d->layer[i];
  struct discriminator_kept *kept = &pass->kept[i];
  bool first = i == 0, last = i == d->layers - 1;
  size_t count = kept_size(d, pass, i);
  const struct conv_input input = {.x = first ? pass->x : pass->kept[i - 1].active,
                                   .images = pass->images,
                                   .height = first ? pass->height : pass->kept[i - 1].height,
                                   .width = first ? pass->width : pass->kept[i - 1].width};
  kept->convolved = arena_alloc(exec->arena, count * sizeof(float));
  kept->active =
      layer->gamma == NONE ? kept->convolved : arena_alloc(exec->arena, count * sizeof(float));
  if (!kept->convolved || !kept->active)
    return VQCT_MEMORY;
  const struct conv_output output = {.y = kept->convolved};
  enum vqct_status status = conv_forward(layer->conv, &input, &output, exec);
  if (status != VQCT_OK)
    return status;
  if (layer->gamma != NONE && (status = normalize(d, pass, i, reduction, exec)) != VQCT_OK)
    return status;
  if (!last)
    leaky(kept->active, kept->active, count, false, exec);
  return VQCT_OK;
}

enum vqct_status discriminator_sizes(const struct discriminator *d, int height, int width,
                                     struct discriminator_pass *pass, struct vqct_error *error) {
  int h = height, w = width;
  *pass = (struct discriminator_pass){.height = height, .width = width};
  for (int i = 0; i < d->layers; i++) {
    pass->kept[i].height = h = conv_output_size(&d->layer[i].shape, h);
    pass->kept[i].width = w = conv_output_size(&d->layer[i].shape, w);
    if (h < 1 || w < 1)
      return error_set(error, VQCT_INVALID,
                       "the discriminator cannot judge pictures of %d x %d pixels: it has too many "
                       "layers",
                       width, height);
  }
  return VQCT_OK;
}

enum vqct_status discriminator_forward(const struct discriminator *d, const float *x, int images,
                                       int height, int width, const struct reduction *reduction,
                                       struct discriminator_pass *pass, const struct exec *exec,
                                       struct vqct_error *error) {
  enum vqct_status status = discriminator_sizes(d, height, width, pass, error);
  if (status != VQCT_OK)
    return status;
  pass->images = images;
  pass->x = x;
  for (int i = 0; i < d->layers && status == VQCT_OK; i++)
    status = layer_forward(d, pass, i, reduction, exec);
  if (status != VQCT_OK)
    return error_set(error, status, "no memory to judge %d pictures of %d x %d", images, width,
                     height);
  pass->logit = pass->kept[d->layers - 1].active;
  pass->logits = kept_size(d, pass, d->layers - 1);
  return VQCT_OK;
}

/* ---- backward -------------------------------------------------------------------------------- */

static float *gradient(const struct discriminator *d, float *gradients, int parameter) {
  return !gradients || parameter == NONE ? NULL
                                         : gradients + d->parameters.parameter[parameter].offset;
}

/* From the gradient of a layer's activation, which is overwritten, to that of what it read. */
static enum vqct_status layer_backward(const struct discriminator *d,
                                       const struct discriminator_pass *pass, int i, float *dy,
                                       float *gradients, float *dx,
                                       const struct reduction *reduction, const struct exec *exec) {
  const struct discriminator_layer *layer = &d->layer[i];
  const struct discriminator_kept *kept = &pass->kept[i];
  const struct conv_input input = {.x = i ? pass->kept[i - 1].active : pass->x,
                                   .images = pass->images,
                                   .height = i ? pass->kept[i - 1].height : pass->height,
                                   .width = i ? pass->kept[i - 1].width : pass->width};
  enum vqct_status status;
  if (i < d->layers - 1)
    leaky(kept->active, dy, kept_size(d, pass, i), true, exec);
  if (layer->gamma != NONE) {
    const struct normed n = normed_of(d, pass, i, reduction);
    const struct norm_pass step = {
        .x = kept->convolved,
        .sums = kept->sums,
        .squares = kept->squares,
        .gamma = values(d, layer->gamma),
        .beta = values(d, layer->beta),
        .images = n.images,
        .positions = n.positions,
        .channels = n.channels,
        .groups = n.groups,
        .reduction = n.reduction,
    };
    status = group_norm_backward(&step, dy, NULL, dy, gradient(d, gradients, layer->gamma),
                                 gradient(d, gradients, layer->beta), exec);
    if (status != VQCT_OK)
      return status;
  }
  if (gradients) {
    status = conv_backward_weight(&layer->shape, &input, dy, gradient(d, gradients, layer->weight),
                                  gradient(d, gradients, layer->bias), exec);
    if (status != VQCT_OK)
      return status;
  }
  if (!dx)
    return VQCT_OK;
  return conv_backward_input(&layer->shape, values(d, layer->weight), dy, input.images,
                             input.height, input.width, dx, exec);
}

enum vqct_status discriminator_backward(const struct discriminator *d,
                                        const struct discriminator_pass *pass, const float *dlogit,
                                        float *gradients, float *dx,
                                        const struct reduction *reduction, const struct exec *exec,
                                        struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t largest = 0;
  for (int i = 0; i < d->layers; i++)
    if (kept_size(d, pass, i) > largest)
      largest = kept_size(d, pass, i);
  float *buffer[2] = {arena_alloc(exec->arena, largest * sizeof(float)),
                      arena_alloc(exec->arena, largest * sizeof(float))};
  enum vqct_status status = VQCT_MEMORY;
  if (!buffer[0] || !buffer[1])
    goto done;
  memcpy(buffer[(d->layers - 1) % 2], dlogit, pass->logits * sizeof(float));
  status = VQCT_OK;
  for (int i = d->layers - 1; i >= 0 && status == VQCT_OK; i--)
    status = layer_backward(d, pass, i, buffer[i % 2], gradients, i ? buffer[(i + 1) % 2] : dx,
                            reduction, exec);
done:
  arena_release(exec->arena, mark);
  if (status != VQCT_OK)
    return error_set(error, status, "no memory for the discriminator's gradients");
  return VQCT_OK;
}
