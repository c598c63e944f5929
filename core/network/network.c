/* A parameter list is in the order of the forward pass and its names are taming's, so each name
 * tells which block it begins: the chains are built from the list, and the architecture is written
 * down once, in network_parameters.c. Only the blocks that have no parameters, which move pixels
 * into channels and back, come from the configuration.
 */
#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "size.h"

/* ---- building -------------------------------------------------------------------------------- */

struct chain_builder {
  const struct parameter_list *list;
  size_t next; /* the parameter that has not been taken yet */
  struct network *network;
};

static bool ends_with(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* Whether the next parameter is the weight of the part called `part`. */
static bool next_is(const struct chain_builder *b, const char *part) {
  char end[64] = ".";
  if (b->next + 1 >= b->list->count)
    return false;
  strncat(end, part, sizeof end - sizeof ".weight" - 1);
  strncat(end, ".weight", sizeof end - strlen(end) - 1);
  const char *name = b->list->parameter[b->next].name;
  return ends_with(name, end) || strcmp(name, end + 1) == 0;
}

/* Takes a convolution that keeps height and width. */
static struct block_layer layer_next(struct chain_builder *b) {
  const struct parameter *weight = &b->list->parameter[b->next];
  int kernel = weight->shape[2];
  b->next += 2;
  return (struct block_layer){.shape = {.in_channels = weight->shape[1],
                                        .out_channels = weight->shape[0],
                                        .kernel = kernel,
                                        .stride = 1,
                                        .pad_before = kernel / 2,
                                        .pad_after = kernel / 2},
                              .weight = (int)b->next - 2,
                              .bias = (int)b->next - 1};
}

static void take_norm(struct chain_builder *b, struct block *block) {
  block->norm[block->norms++] = (struct norm){.channels = b->list->parameter[b->next].shape[0],
                                              .weight = (int)b->next,
                                              .bias = (int)b->next + 1};
  b->next += 2;
}

/* A norm, plain or spatial, which has a norm and two convolutions inside. */
static bool take_norm_named(struct chain_builder *b, struct block *block, const char *part) {
  char inside[64];
  snprintf(inside, sizeof inside, "%s.norm_layer", part);
  bool spatial = next_is(b, inside);
  if (!spatial && !next_is(b, part))
    return false;
  take_norm(b, block);
  struct norm *norm = &block->norm[block->norms - 1];
  norm->spatial = spatial;
  if (!spatial)
    return true;
  if (!next_is(b, "conv_y"))
    return false;
  norm->layer[SPATIAL_SCALE] = layer_next(b);
  if (!next_is(b, "conv_b"))
    return false;
  norm->layer[SPATIAL_SHIFT] = layer_next(b);
  return true;
}

static bool take_layer_named(struct chain_builder *b, struct block *block, const char *part) {
  bool found = next_is(b, part);
  if (found)
    block->layer[block->layers++] = layer_next(b);
  return found;
}

static bool take_residual(struct chain_builder *b, struct block *block) {
  block->kind = BLOCK_RESIDUAL;
  bool whole = take_norm_named(b, block, "norm1") && take_layer_named(b, block, "conv1") &&
               take_norm_named(b, block, "norm2") && take_layer_named(b, block, "conv2");
  take_layer_named(b, block, "nin_shortcut");
  return whole;
}

static bool take_attention(struct chain_builder *b, struct block *block) {
  block->kind = BLOCK_ATTENTION;
  return take_norm_named(b, block, "norm") && take_layer_named(b, block, "q") &&
         take_layer_named(b, block, "k") && take_layer_named(b, block, "v") &&
         take_layer_named(b, block, "proj_out");
}

static bool take_convolution(struct chain_builder *b, struct block *block) {
  static const char *const plain[] = {"conv_in", "conv_out", "quant_conv", "post_quant_conv"};
  block->kind = BLOCK_CONVOLUTION;
  take_norm_named(b, block, "norm_out");
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    if (take_layer_named(b, block, plain[i]))
      return true;
  if (take_layer_named(b, block, "downsample.conv")) {
    block->layer[0].shape.stride = 2;
    block->layer[0].shape.pad_before = 0; /* taming pads right and bottom only */
    return true;
  }
  block->upsample = true;
  return take_layer_named(b, block, "upsample.conv");
}

static bool take_block(struct chain_builder *b, struct block *block) {
  if (next_is(b, "norm1") || next_is(b, "norm1.norm_layer"))
    return take_residual(b, block);
  if (next_is(b, "norm") || next_is(b, "norm.norm_layer"))
    return take_attention(b, block);
  return take_convolution(b, block);
}

/* Which chain the next parameter belongs to. */
static struct chain *next_chain(const struct chain_builder *b) {
  const char *name = b->list->parameter[b->next].name;
  bool decodes = strncmp(name, "decoder.", 8) == 0 || strncmp(name, "post_quant_conv.", 16) == 0;
  return decodes ? &b->network->decoder : &b->network->encoder;
}

static void append_rearrangement(const struct network *network, struct chain *chain,
                                 enum block_kind kind) {
  chain->block[chain->blocks++] = (struct block){.kind = kind, .groups = network->groups};
}

static enum vqct_status build_chains(struct chain_builder *b, const struct model_config *config,
                                     struct vqct_error *error) {
  struct network *network = b->network;
  if (config->space_to_depth)
    append_rearrangement(network, &network->encoder, BLOCK_SPACE_TO_DEPTH);
  while (b->next < b->list->count) {
    const char *name = b->list->parameter[b->next].name;
    struct chain *chain = next_chain(b);
    struct block *block = &chain->block[chain->blocks];
    block->groups = network->groups;
    if (!take_block(b, block))
      return error_set(error, VQCT_INTERNAL, "%s does not begin a block", name);
    if (chain->blocks)
      block[-1].statistics = block->norms > 0;
    chain->blocks++;
  }
  if (config->space_to_depth && network->decoder.blocks)
    append_rearrangement(network, &network->decoder, BLOCK_DEPTH_TO_SPACE);
  return VQCT_OK;
}

/* ---- weights --------------------------------------------------------------------------------- */

static enum vqct_status pack_layer(struct block_layer *layer, const struct conv_use *use,
                                   const float *weight, const float *bias, struct pool *pool,
                                   struct vqct_error *error) {
  if (!layer->conv)
    return conv_new(&layer->shape, weight, bias, use, &layer->conv, error);
  conv_update(layer->conv, weight, bias, pool);
  return VQCT_OK;
}

static enum vqct_status load_layer(struct block_layer *layer, const struct conv_use *use,
                                   const struct parameter_source *source, struct pool *pool,
                                   struct vqct_error *error) {
  const float *weight, *bias;
  enum vqct_status status = source->get(source->context, layer->weight, &weight, error);
  if (status != VQCT_OK)
    return status;
  status = source->get(source->context, layer->bias, &bias, error);
  if (status != VQCT_OK)
    goto release_weight;
  status = pack_layer(layer, use, weight, bias, pool, error);
  if (source->release)
    source->release(source->context, layer->bias);
release_weight:
  if (source->release)
    source->release(source->context, layer->weight);
  return status;
}

static enum vqct_status load_vector(int index, size_t count, float **vector,
                                    const struct parameter_source *source,
                                    struct vqct_error *error) {
  const float *values;
  if (!*vector)
    *vector = malloc(count * sizeof **vector);
  if (!*vector)
    return error_set(error, VQCT_MEMORY, "no memory for %zu weights", count);
  enum vqct_status status = source->get(source->context, index, &values, error);
  if (status != VQCT_OK)
    return status;
  memcpy(*vector, values, count * sizeof **vector);
  if (source->release)
    source->release(source->context, index);
  return VQCT_OK;
}

static enum vqct_status load_norm(struct norm *norm, const struct parameter_source *source,
                                  struct pool *pool, struct vqct_error *error) {
  size_t channels = (size_t)norm->channels;
  enum vqct_status status = load_vector(norm->weight, channels, &norm->gamma, source, error);
  if (status != VQCT_OK)
    return status;
  status = load_vector(norm->bias, channels, &norm->beta, source, error);
  const struct conv_use use = {.precise = source->precise};
  for (int i = 0; norm->spatial && i < SPATIAL_LAYERS && status == VQCT_OK; i++)
    status = load_layer(&norm->layer[i], &use, source, pool, error);
  return status;
}

/* Pixels of the picture along a side of one position, from which on a layer has few positions. */
#define FEW_POSITIONS 8

/* reduction: pixels of the picture along a side of one position, before and then after the chain.
 */
static enum vqct_status load_chain(const struct chain *chain, int *reduction,
                                   const struct parameter_source *source, struct pool *pool,
                                   struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  for (int i = 0; i < chain->blocks; i++) {
    struct block *block = &chain->block[i];
    const struct conv_use use = {.upsample = block->upsample,
                                 .precise = source->precise,
                                 .few = *reduction >= FEW_POSITIONS};
    for (int j = 0; j < block->norms && status == VQCT_OK; j++)
      status = load_norm(&block->norm[j], source, pool, error);
    for (int j = 0; j < block->layers && status == VQCT_OK; j++)
      status = load_layer(&block->layer[j], &use, source, pool, error);
    if (block->kind == BLOCK_SPACE_TO_DEPTH || block->layer[0].shape.stride == 2)
      *reduction *= 2;
    else if (block->kind == BLOCK_DEPTH_TO_SPACE || block->upsample)
      *reduction /= 2;
  }
  return status;
}

enum vqct_status network_load(struct network *network, const struct parameter_source *source,
                              struct pool *pool, struct vqct_error *error) {
  int reduction = 1;
  enum vqct_status status = load_chain(&network->encoder, &reduction, source, pool, error);
  if (status != VQCT_OK)
    return status;
  return load_chain(&network->decoder, &reduction, source, pool, error);
}

enum vqct_status network_new(const struct model_config *config, const struct parameter_list *list,
                             const struct parameter_source *source, struct network **result,
                             struct vqct_error *error) {
  *result = NULL;
  struct network *network = calloc(1, sizeof *network);
  if (!network)
    return error_set(error, VQCT_MEMORY, "no memory for the network");
  /* A block with parameters takes at least two, so this is room enough for either chain. */
  network->groups = config->groups;
  network->encoder.block = calloc(list->count, sizeof *network->encoder.block);
  network->decoder.block = calloc(list->count, sizeof *network->decoder.block);
  enum vqct_status status = VQCT_OK;
  if (!network->encoder.block || !network->decoder.block) {
    status = error_set(error, VQCT_MEMORY, "no memory for the network");
    goto failed;
  }
  struct chain_builder builder = {.list = list, .network = network};
  status = build_chains(&builder, config, error);
  if (status != VQCT_OK)
    goto failed;
  status = network_load(network, source, NULL, error);
  if (status != VQCT_OK)
    goto failed;
  *result = network;
  return VQCT_OK;
failed:
  network_free(network);
  return status;
}

static void chain_free(struct chain *chain) {
  for (int i = 0; i < chain->blocks; i++) {
    for (int j = 0; j < BLOCK_NORMS_MAX; j++) {
      for (int k = 0; k < SPATIAL_LAYERS; k++)
        conv_free(chain->block[i].norm[j].layer[k].conv);
      free(chain->block[i].norm[j].gamma);
      free(chain->block[i].norm[j].beta);
    }
    for (int j = 0; j < BLOCK_LAYERS_MAX; j++)
      conv_free(chain->block[i].layer[j].conv);
  }
  free(chain->block);
}

void network_free(struct network *network) {
  if (!network)
    return;
  chain_free(&network->encoder);
  chain_free(&network->decoder);
  free(network);
}

/* ---- running --------------------------------------------------------------------------------- */

uint64_t chain_flops(const struct chain *chain, int height, int width) {
  struct activation shape = {.images = 1, .height = height, .width = width};
  uint64_t flops = 0;
  for (int i = 0; i < chain->blocks; i++) {
    flops += block_flops(&chain->block[i], shape.height, shape.width);
    block_output_shape(&chain->block[i], &shape, &shape);
  }
  return flops;
}

uint64_t chain_attention_flops(const struct chain *chain, int height, int width) {
  struct activation shape = {.images = 1, .height = height, .width = width};
  uint64_t flops = 0;
  for (int i = 0; i < chain->blocks; i++) {
    flops += block_attention_flops(&chain->block[i], shape.height, shape.width);
    block_output_shape(&chain->block[i], &shape, &shape);
  }
  return flops;
}

/* A block forward; when the work was to stop meanwhile its result is of no use. */
static enum vqct_status forward_block(const struct block *block, const struct activation *x,
                                      const struct activation *codes, const struct activation *y,
                                      struct block_tape *tape, const struct exec *exec,
                                      struct vqct_error *error) {
  enum vqct_status status = block_forward(block, x, codes, y, tape, exec, error);
  if (status != VQCT_OK || !exec_stopped(exec))
    return status;
  return error_set(error, VQCT_INTERRUPTED, "stopped while the network was computed");
}

/* Keeps every activation: each takes new memory. */
static enum vqct_status forward_kept(const struct chain *chain, const struct activation *x,
                                     struct activation *y, struct block_tape *tape,
                                     const struct exec *exec, struct vqct_error *error) {
  struct activation input = *x, output = {0};
  for (int i = 0; i < chain->blocks; i++) {
    const struct block *block = &chain->block[i];
    int groups = block->statistics ? block->groups : 0;
    block_output_shape(block, &input, &output);
    enum vqct_status status = activation_allocate(&output, groups, exec->arena, error);
    if (status != VQCT_OK)
      return status;
    status = forward_block(block, &input, x, &output, &tape[i], exec, error);
    if (status != VQCT_OK)
      return status;
    input = output;
  }
  *y = output;
  return VQCT_OK;
}

/* The shape of the largest activation that a chain writes for x. */
static struct activation largest_activation(const struct chain *chain, const struct activation *x) {
  struct activation shape = *x, largest = {0};
  for (int i = 0; i < chain->blocks; i++) {
    block_output_shape(&chain->block[i], &shape, &shape);
    if (activation_image_size(&shape) > activation_image_size(&largest))
      largest = shape;
  }
  return largest;
}

size_t chain_memory(const struct chain *chain, int height, int width) {
  struct activation x = {.images = 1, .height = height, .width = width};
  struct activation largest = largest_activation(chain, &x);
  return 3 * sizeof(float) * activation_image_size(&largest);
}

/* Two pieces of memory that take turns, each large enough for every activation. A block that only
 * adds writes over what it reads, which is one piece fewer for the caches to hold. */
static enum vqct_status turns_allocate(const struct chain *chain, const struct activation *x,
                                       struct activation turn[2], struct arena *arena,
                                       struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  for (int i = 0; i < 2 && status == VQCT_OK; i++) {
    turn[i] = largest_activation(chain, x);
    status = activation_allocate(&turn[i], chain->block[0].groups, arena, error);
  }
  return status;
}

static enum vqct_status forward_in_turns(const struct chain *chain, const struct activation *x,
                                         struct activation *y, const struct exec *exec,
                                         struct vqct_error *error) {
  struct activation turn[2], input = *x;
  enum vqct_status status = turns_allocate(chain, x, turn, exec->arena, error);
  int last = 1; /* the turn that was written last */
  for (int i = 0; i < chain->blocks && status == VQCT_OK; i++) {
    const struct block *block = &chain->block[i];
    if (!block_adds(block))
      last = !last;
    struct activation output = turn[last];
    block_output_shape(block, &input, &output);
    if (!block->statistics)
      output.sums = output.squares = NULL;
    status = forward_block(block, &input, x, &output, NULL, exec, error);
    input = output;
  }
  *y = input;
  return status;
}

enum vqct_status chain_forward(const struct chain *chain, const struct activation *x,
                               struct activation *y, struct block_tape *tape,
                               const struct exec *exec, struct vqct_error *error) {
  return tape ? forward_kept(chain, x, y, tape, exec, error)
              : forward_in_turns(chain, x, y, exec, error);
}
