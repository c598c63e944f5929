/* Blocks are walked backwards over the tape, and what the forward pass did while it read (scale,
 * shift, swish) is done again here rather than kept, which costs little beside a convolution and
 * saves an activation a layer. */
#include "blocks_backward.h"

#include "attention_backward.h"
#include "error.h"
#include "norm_backward.h"
#include "norm_input.h"
#include "space_to_depth.h"
#include "spatial_norm_backward.h"

/* What every step of one block's backward pass needs. */
struct block_pass {
  const struct block *block;
  const struct parameter_gradients *parameters;
  const struct activation *codes; /* what the chain was given */
  float *dcodes;                  /* added to by spatial norms */
  const struct exec *exec;
};

static size_t activation_size(const struct activation *x) {
  return (size_t)x->images * activation_image_size(x);
}

static float *take(const struct block_pass *pass, size_t count) {
  return arena_alloc(pass->exec->arena, count * sizeof(float));
}

static const float *parameter_values(const struct block_pass *pass, int index) {
  return pass->parameters->values + pass->parameters->list->parameter[index].offset;
}

static float *parameter_gradient(const struct block_pass *pass, int index) {
  return pass->parameters->gradients + pass->parameters->list->parameter[index].offset;
}

/* Adds a layer's weight gradients and, where da is given, writes that of what it read. */
static enum vqct_status layer_backward(const struct block_pass *pass,
                                       const struct block_layer *layer,
                                       const struct conv_input *input, const float *dy, float *da) {
  return conv_backward(&layer->shape, parameter_values(pass, layer->weight), input, dy, da,
                       parameter_gradient(pass, layer->weight),
                       parameter_gradient(pass, layer->bias), pass->exec);
}

struct addition {
  float *sum;
  const float *term;
  size_t count;
};

#define ADDITION_BLOCK ((size_t)1 << 14) /* numbers a task */

static void add_block(void *argument, size_t task, unsigned worker) {
  (void)worker;
  const struct addition *addition = argument;
  size_t begin = task * ADDITION_BLOCK, end = begin + ADDITION_BLOCK;
  for (size_t i = begin; i < end && i < addition->count; i++)
    addition->sum[i] += addition->term[i];
}

static void add(float *sum, const float *term, size_t count, const struct exec *exec) {
  struct addition addition = {sum, term, count};
  pool_run(exec->pool, (count + ADDITION_BLOCK - 1) / ADDITION_BLOCK, add_block, &addition);
}

/* Adds the gradients of a spatial norm's convolutions, and theirs for the codes; da becomes that of
 * the normalised x. */
static enum vqct_status spatial_step(const struct block_pass *pass, const struct activation *x,
                                     const struct norm *norm, bool swish, float *da) {
  const struct conv_input given = norm_input_plain(pass->codes);
  size_t codes = activation_size(pass->codes);
  size_t count = codes / (size_t)pass->codes->channels * (size_t)x->channels;
  float *gradient[SPATIAL_LAYERS] = {take(pass, count), take(pass, count)};
  float *dcodes = take(pass, codes);
  if (!gradient[SPATIAL_SCALE] || !gradient[SPATIAL_SHIFT] || !dcodes)
    return VQCT_MEMORY;
  enum vqct_status status =
      spatial_norm_backward(norm, pass->block->groups, x, pass->codes, swish, da,
                            gradient[SPATIAL_SCALE], gradient[SPATIAL_SHIFT], pass->exec);
  if (status != VQCT_OK)
    return status;
  for (int i = 0; i < SPATIAL_LAYERS; i++) {
    status = layer_backward(pass, &norm->layer[i], &given, gradient[i], dcodes);
    if (status != VQCT_OK)
      return status;
    add(pass->dcodes, dcodes, codes, pass->exec);
  }
  return VQCT_OK;
}

/* From the gradient da of the normalised x to that of x, to which the residual is added unless it
 * is NULL; dx may be da or the residual. */
static enum vqct_status norm_step(const struct block_pass *pass, const struct activation *x,
                                  const struct norm *norm, bool swish, float *da,
                                  const float *residual, float *dx) {
  enum vqct_status status = norm->spatial ? spatial_step(pass, x, norm, swish, da) : VQCT_OK;
  if (status != VQCT_OK)
    return status;
  const struct norm_pass step = {
      .x = x->data,
      .sums = x->sums,
      .squares = x->squares,
      .gamma = norm->gamma,
      .beta = norm->beta,
      .images = (size_t)x->images,
      .positions = (size_t)(x->height * x->width),
      .channels = (size_t)x->channels,
      .groups = (size_t)pass->block->groups,
      .swish = swish && !norm->spatial,
  };
  return group_norm_backward(&step, da, residual, dx, parameter_gradient(pass, norm->weight),
                             parameter_gradient(pass, norm->bias), pass->exec);
}

static enum vqct_status convolution_backward(const struct block_pass *pass,
                                             const struct block_tape *tape, const float *dy,
                                             float *dx) {
  const struct block *block = pass->block;
  const struct activation *x = &tape->input;
  const struct norm *norm = block->norms ? &block->norm[0] : NULL;
  struct conv_input input = norm_input_plain(x);
  enum vqct_status status = VQCT_OK;
  if (norm)
    status = norm_input_read(norm, block->groups, x, pass->codes, true, &input, pass->exec);
  if (status != VQCT_OK)
    return status;
  input.upsample = block->upsample;
  status = layer_backward(pass, &block->layer[0], &input, dy, dx);
  if (status != VQCT_OK)
    return status;
  return norm && dx ? norm_step(pass, x, norm, true, dx, NULL, dx) : VQCT_OK;
}

/* The layer that reads x through swish and norm number `norm` of a residual block. */
static enum vqct_status normalized_backward(const struct block_pass *pass,
                                            const struct activation *x, int norm,
                                            const struct block_layer *layer, const float *dy,
                                            float *da) {
  struct conv_input input;
  enum vqct_status status = norm_input_read(&pass->block->norm[norm], pass->block->groups, x,
                                            pass->codes, true, &input, pass->exec);
  if (status != VQCT_OK)
    return status;
  return layer_backward(pass, layer, &input, dy, da);
}

static enum vqct_status residual_backward(const struct block_pass *pass,
                                          const struct block_tape *tape, const float *dy,
                                          float *dx) {
  const struct block *block = pass->block;
  const struct activation *x = &tape->input, *h = &tape->hidden;
  const struct block_layer *layer = block->layer;
  float *dh = take(pass, activation_size(h)), *da = take(pass, activation_size(x));
  if (!dh || !da)
    return VQCT_MEMORY;
  enum vqct_status status = normalized_backward(pass, h, 1, &layer[RESIDUAL_CONV2], dy, dh);
  if (status != VQCT_OK)
    return status;
  status = norm_step(pass, h, &block->norm[1], true, dh, NULL, dh);
  if (status != VQCT_OK)
    return status;
  status = normalized_backward(pass, x, 0, &layer[RESIDUAL_CONV1], dh, da);
  if (status != VQCT_OK)
    return status;
  if (block->layers <= RESIDUAL_SHORTCUT)
    return norm_step(pass, x, &block->norm[0], true, da, dy, dx);
  const struct conv_input plain = norm_input_plain(x);
  status = layer_backward(pass, &layer[RESIDUAL_SHORTCUT], &plain, dy, dx);
  if (status != VQCT_OK)
    return status;
  return norm_step(pass, x, &block->norm[0], true, da, dx, dx);
}

static enum vqct_status attention_block_backward(const struct block_pass *pass,
                                                 const struct block_tape *tape, const float *dy,
                                                 float *dx) {
  const struct block *block = pass->block;
  const struct activation *x = &tape->input;
  size_t count = activation_size(x), positions = (size_t)(x->height * x->width);
  float *da = take(pass, count), *dmixed = take(pass, count), *gradient = take(pass, 3 * count);
  struct conv_input normalised, mixed = norm_input_plain(x);
  mixed.x = tape->mixed;
  if (!da || !dmixed || !gradient)
    return VQCT_MEMORY;
  enum vqct_status status = norm_input_read(&block->norm[0], block->groups, x, pass->codes, false,
                                            &normalised, pass->exec);
  if (status != VQCT_OK)
    return status;
  status = layer_backward(pass, &block->layer[ATTENTION_OUTPUT], &mixed, dy, dmixed);
  if (status != VQCT_OK)
    return status;
  status = attention_backward(tape->query, tape->key, tape->value, dmixed, (size_t)x->images,
                              positions, (size_t)x->channels, gradient, gradient + count,
                              gradient + 2 * count, pass->exec);
  if (status != VQCT_OK)
    return status;
  for (int i = ATTENTION_QUERY; i <= ATTENTION_VALUE; i++) {
    float *part = i == ATTENTION_QUERY ? da : dmixed; /* dmixed has served by now */
    status = layer_backward(pass, &block->layer[i], &normalised,
                            gradient + (size_t)(i - ATTENTION_QUERY) * count, part);
    if (status != VQCT_OK)
      return status;
    if (part != da)
      add(da, part, count, pass->exec);
  }
  return norm_step(pass, x, &block->norm[0], false, da, dy, dx);
}

/* The gradient of moving pixels into channels, or back, is moved the other way. */
static void rearrangement_backward(const struct block_pass *pass, const struct block_tape *tape,
                                   const float *dy, float *dx) {
  struct activation pixels = tape->input;
  if (pass->block->kind == BLOCK_SPACE_TO_DEPTH) {
    depth_to_space(&pixels, dy, dx, pass->exec);
    return;
  }
  block_output_shape(pass->block, &tape->input, &pixels);
  space_to_depth(&pixels, dy, dx, pass->exec);
}

/* dx, for the block's input, and the gradients of its parameters, added to. */
static enum vqct_status block_backward(const struct block_pass *pass, const struct block_tape *tape,
                                       const float *dy, float *dx, struct vqct_error *error) {
  const struct block *block = pass->block;
  struct arena_mark mark = arena_mark(pass->exec->arena);
  enum vqct_status status = VQCT_INTERNAL;
  switch (block->kind) {
  case BLOCK_CONVOLUTION:
    status = convolution_backward(pass, tape, dy, dx);
    break;
  case BLOCK_RESIDUAL:
    status = residual_backward(pass, tape, dy, dx);
    break;
  case BLOCK_ATTENTION:
    status = attention_block_backward(pass, tape, dy, dx);
    break;
  case BLOCK_SPACE_TO_DEPTH:
  case BLOCK_DEPTH_TO_SPACE:
    rearrangement_backward(pass, tape, dy, dx);
    status = VQCT_OK;
    break;
  }
  arena_release(pass->exec->arena, mark);
  if (status != VQCT_OK)
    return error_set(error, status, "no memory for the gradients of a block");
  return VQCT_OK;
}

enum vqct_status chain_backward(const struct chain *chain, const struct block_tape *tape,
                                const struct parameter_gradients *parameters, const float *dy,
                                float *dx, const struct exec *exec, struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  size_t largest = 0;
  for (int i = 0; i < chain->blocks; i++)
    if (activation_size(&tape[i].input) > largest)
      largest = activation_size(&tape[i].input);
  float *buffer[2];
  for (int i = 0; i < 2; i++)
    buffer[i] = arena_alloc(exec->arena, largest * sizeof(float));
  const size_t codes = activation_size(&tape[0].input);
  float *dcodes = arena_calloc(exec->arena, codes, sizeof *dcodes);
  enum vqct_status status = VQCT_OK;
  if (!buffer[0] || !buffer[1] || !dcodes)
    status = error_set(error, VQCT_MEMORY, "no memory for the gradients of a chain of blocks");
  /* Where nothing is wanted for the input, the way ends at the first block with parameters. */
  const int first = dx || chain->block[0].layers ? 0 : 1;
  for (int i = chain->blocks - 1; i >= first && status == VQCT_OK; i--) {
    float *into = i == first ? dx : buffer[i % 2];
    const struct block_pass pass = {&chain->block[i], parameters, &tape[0].input, dcodes, exec};
    status = block_backward(&pass, &tape[i], dy, into, error);
    if (status == VQCT_OK && exec_stopped(exec))
      status = error_set(error, VQCT_INTERRUPTED, "stopped while gradients were computed");
    dy = into;
  }
  if (status == VQCT_OK && dx)
    add(dx, dcodes, codes, exec);
  arena_release(exec->arena, mark);
  return status;
}

/* The number of the convolution that a chain's last weight belongs to. */
static int last_convolution(const struct chain *chain) {
  const struct block *block = &chain->block[chain->blocks - 1];
  return block->kind == BLOCK_DEPTH_TO_SPACE ? chain->blocks - 2 : chain->blocks - 1;
}

/* The gradient of what that convolution wrote, from that of what the chain gave. NULL: no memory.
 */
static const float *last_gradient(const struct chain *chain, const struct block_tape *tape,
                                  const float *dy, const struct exec *exec) {
  const int last = chain->blocks - 1;
  const struct activation *given = &tape[last].input;
  if (last == last_convolution(chain))
    return dy;
  struct activation pixels;
  block_output_shape(&chain->block[last], given, &pixels);
  float *gradient = arena_alloc(exec->arena, activation_size(given) * sizeof *gradient);
  if (gradient)
    space_to_depth(&pixels, dy, gradient, exec);
  return gradient;
}

/* chain_last_weight_gradient without its memory being given back. */
static enum vqct_status last_weight(const struct chain *chain, const struct block_tape *tape,
                                    const float *dy, float *dweight, const struct exec *exec) {
  const int last = last_convolution(chain);
  const struct block *block = &chain->block[last];
  const struct activation *x = &tape[last].input;
  struct conv_input input = norm_input_plain(x);
  const float *gradient = last_gradient(chain, tape, dy, exec);
  if (!gradient)
    return VQCT_MEMORY;
  if (block->norms) {
    enum vqct_status status =
        norm_input_read(&block->norm[0], block->groups, x, &tape[0].input, true, &input, exec);
    if (status != VQCT_OK)
      return status;
  }
  input.upsample = block->upsample;
  return conv_backward_weight(&block->layer[0].shape, &input, gradient, dweight, NULL, exec);
}

enum vqct_status chain_last_weight_gradient(const struct chain *chain,
                                            const struct block_tape *tape, const float *dy,
                                            float *dweight, const struct exec *exec,
                                            struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  enum vqct_status status = last_weight(chain, tape, dy, dweight, exec);
  arena_release(exec->arena, mark);
  if (status != VQCT_OK)
    return error_set(error, status, "no memory for the gradient of the last weights");
  return VQCT_OK;
}

size_t chain_last_weight_count(const struct chain *chain) {
  const struct conv_shape *shape = &chain->block[last_convolution(chain)].layer[0].shape;
  return (size_t)(shape->out_channels * shape->in_channels * shape->kernel * shape->kernel);
}
