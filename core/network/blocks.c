/* A norm never has a pass of its own: its scale and shift go into the input of the convolution that
 * follows (norm_input.h), and the sums it is made from came with the output of the one before. A
 * tape keeps what the backward pass reads; without one, a block's inner memory is released at once.
 */
#include "blocks.h"

#include "attention.h"
#include "error.h"
#include "norm_input.h"
#include "size.h"
#include "space_to_depth.h"

/* Of a block that has layers. */
static int block_out_channels(const struct block *block) {
  return block->layer[block->kind == BLOCK_ATTENTION ? ATTENTION_OUTPUT : 0].shape.out_channels;
}

static void rearranged_shape(const struct block *block, const struct activation *x,
                             struct activation *y) {
  bool gathers = block->kind == BLOCK_SPACE_TO_DEPTH;
  y->images = x->images;
  y->height = gathers ? x->height / 2 : 2 * x->height;
  y->width = gathers ? x->width / 2 : 2 * x->width;
  y->channels = gathers ? 4 * x->channels : x->channels / 4;
}

void block_output_shape(const struct block *block, const struct activation *x,
                        struct activation *y) {
  if (block->kind == BLOCK_SPACE_TO_DEPTH || block->kind == BLOCK_DEPTH_TO_SPACE) {
    rearranged_shape(block, x, y);
    return;
  }
  const struct conv_shape *shape = &block->layer[0].shape;
  int times = block->upsample ? 2 : 1;
  y->images = x->images;
  y->height = conv_output_size(shape, times * x->height);
  y->width = conv_output_size(shape, times * x->width);
  y->channels = block_out_channels(block);
}

bool block_adds(const struct block *block) {
  return block->kind == BLOCK_ATTENTION ||
         (block->kind == BLOCK_RESIDUAL && block->layers <= RESIDUAL_SHORTCUT);
}

static uint64_t layer_flops(const struct block_layer *layer, uint64_t positions) {
  const struct conv_shape *s = &layer->shape;
  return 2 * positions * (uint64_t)s->out_channels * (uint64_t)s->in_channels *
         (uint64_t)s->kernel * (uint64_t)s->kernel;
}

/* All positions with all: twice T*T*C multiply-adds. */
static uint64_t attention_flops(const struct block *block, uint64_t positions) {
  return 4 * positions * positions * (uint64_t)block_out_channels(block);
}

uint64_t block_attention_flops(const struct block *block, int height, int width) {
  uint64_t positions = (uint64_t)height * (uint64_t)width;
  return block->kind == BLOCK_ATTENTION ? attention_flops(block, positions) : 0;
}

uint64_t block_flops(const struct block *block, int height, int width) {
  struct activation x = {.images = 1, .height = height, .width = width}, y;
  block_output_shape(block, &x, &y);
  uint64_t positions = (uint64_t)y.height * (uint64_t)y.width, flops = 0;
  for (int i = 0; i < block->layers; i++)
    flops += layer_flops(&block->layer[i], positions);
  if (block->kind == BLOCK_ATTENTION)
    flops += attention_flops(block, positions);
  return flops;
}

size_t activation_image_size(const struct activation *activation) {
  return (size_t)activation->height * (size_t)activation->width * (size_t)activation->channels;
}

static enum vqct_status no_memory(const struct activation *a, struct vqct_error *error) {
  return error_set(error, VQCT_MEMORY, "no memory for %d activations of %d x %d x %d", a->images,
                   a->height, a->width, a->channels);
}

enum vqct_status activation_allocate(struct activation *activation, int groups, struct arena *arena,
                                     struct vqct_error *error) {
  size_t images = (size_t)activation->images, bytes, sums = images * (size_t)groups;
  activation->sums = activation->squares = NULL;
  if (!size_multiply(activation_image_size(activation), images * sizeof(float), &bytes))
    return no_memory(activation, error);
  activation->data = arena_alloc(arena, bytes);
  if (groups) {
    activation->sums = arena_alloc(arena, sums * sizeof *activation->sums);
    activation->squares = arena_alloc(arena, sums * sizeof *activation->squares);
  }
  if (!activation->data || (groups && !(activation->sums && activation->squares)))
    return no_memory(activation, error);
  return VQCT_OK;
}

/* Writes y with its sums where y has memory for them. */
static struct conv_output write_activation(const struct block *block, const struct activation *y,
                                           const float *residual) {
  return (struct conv_output){.y = y->data,
                              .residual = residual,
                              .groups = block->groups,
                              .sums = y->sums,
                              .squares = y->squares};
}

static enum vqct_status convolution_forward(const struct block *block, const struct activation *x,
                                            const struct activation *codes,
                                            const struct activation *y, const struct exec *exec) {
  struct conv_input input = norm_input_plain(x);
  struct conv_output output = write_activation(block, y, NULL);
  enum vqct_status status = VQCT_OK;
  if (block->norms)
    status = norm_input_read(&block->norm[0], block->groups, x, codes, true, &input, exec);
  if (status != VQCT_OK)
    return status;
  input.upsample = block->upsample;
  return conv_forward(block->layer[0].conv, &input, &output, exec);
}

/* The second half of a residual block. */
static enum vqct_status residual_close(const struct block *block, const struct activation *x,
                                       const struct activation *codes,
                                       const struct activation *hidden, const struct activation *y,
                                       const struct exec *exec) {
  struct conv_input input = norm_input_plain(hidden);
  enum vqct_status status =
      norm_input_read(&block->norm[1], block->groups, hidden, codes, true, &input, exec);
  if (status != VQCT_OK)
    return status;
  bool changes = block->layers > RESIDUAL_SHORTCUT;
  struct conv_output output = write_activation(block, y, changes ? NULL : x->data);
  struct conv_shortcut shortcut = {changes ? block->layer[RESIDUAL_SHORTCUT].conv : NULL, x->data};
  if (changes)
    output.shortcut = &shortcut;
  return conv_forward(block->layer[RESIDUAL_CONV2].conv, &input, &output, exec);
}

static enum vqct_status residual_forward(const struct block *block, const struct activation *x,
                                         const struct activation *codes, const struct activation *y,
                                         struct activation *hidden, const struct exec *exec,
                                         struct vqct_error *error) {
  struct conv_input input = norm_input_plain(x);
  *hidden = *y;
  enum vqct_status status = activation_allocate(hidden, block->groups, exec->arena, error);
  if (status != VQCT_OK)
    return status;
  status = norm_input_read(&block->norm[0], block->groups, x, codes, true, &input, exec);
  if (status != VQCT_OK)
    return status;
  struct conv_output output = write_activation(block, hidden, NULL);
  status = conv_forward(block->layer[RESIDUAL_CONV1].conv, &input, &output, exec);
  if (status != VQCT_OK)
    return status;
  return residual_close(block, x, codes, hidden, y, exec);
}

static enum vqct_status attention_block_forward(const struct block *block,
                                                const struct activation *x,
                                                const struct activation *codes,
                                                const struct activation *y, float *inner[4],
                                                const struct exec *exec) {
  size_t size = (size_t)x->images * activation_image_size(x);
  struct conv_input input = norm_input_plain(x);
  enum vqct_status status =
      norm_input_read(&block->norm[0], block->groups, x, codes, false, &input, exec);
  for (int i = 0; i < 4 && status == VQCT_OK; i++) {
    inner[i] = arena_alloc(exec->arena, size * sizeof *inner[i]);
    status = inner[i] ? VQCT_OK : VQCT_MEMORY;
  }
  for (int i = ATTENTION_QUERY; i <= ATTENTION_VALUE && status == VQCT_OK; i++) {
    struct conv_output output = {.y = inner[i]};
    status = conv_forward(block->layer[i].conv, &input, &output, exec);
  }
  if (status != VQCT_OK)
    return status;
  status =
      attention_forward(inner[0], inner[1], inner[2], (size_t)x->images,
                        (size_t)x->height * (size_t)x->width, (size_t)x->channels, inner[3], exec);
  if (status != VQCT_OK)
    return status;
  struct conv_output output = write_activation(block, y, x->data);
  input = norm_input_plain(x);
  input.x = inner[3];
  return conv_forward(block->layer[ATTENTION_OUTPUT].conv, &input, &output, exec);
}

enum vqct_status block_forward(const struct block *block, const struct activation *x,
                               const struct activation *codes, const struct activation *y,
                               struct block_tape *tape, const struct exec *exec,
                               struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  struct block_tape kept = {.input = *x};
  float *inner[4] = {NULL};
  enum vqct_status status = VQCT_INTERNAL;
  switch (block->kind) {
  case BLOCK_CONVOLUTION:
    status = convolution_forward(block, x, codes, y, exec);
    break;
  case BLOCK_RESIDUAL:
    status = residual_forward(block, x, codes, y, &kept.hidden, exec, error);
    break;
  case BLOCK_ATTENTION:
    status = attention_block_forward(block, x, codes, y, inner, exec);
    break;
  case BLOCK_SPACE_TO_DEPTH:
    space_to_depth(x, x->data, y->data, exec);
    status = VQCT_OK;
    break;
  case BLOCK_DEPTH_TO_SPACE:
    depth_to_space(y, x->data, y->data, exec);
    status = VQCT_OK;
    break;
  }
  kept.query = inner[0];
  kept.key = inner[1];
  kept.value = inner[2];
  kept.mixed = inner[3];
  if (tape)
    *tape = kept;
  else
    arena_release(exec->arena, mark);
  return status == VQCT_OK ? VQCT_OK : no_memory(y, error);
}
