/* The kinds of block that an encoder or decoder is a chain of: the taming family's three, and two
 * that move pixels into channels and back (space_to_depth.h).
 *
 *   convolution  y = conv(x), conv(swish(norm(x))) or conv(upsample(x))
 *   residual     h = conv1(swish(norm1(x)));  y = conv2(swish(norm2(h))) + shortcut(x)
 *   attention    y = x + proj(softmax(q k^T C^-1/2) v),  q, k, v from norm(x)
 *
 * A norm may be spatial, norm(x) * conv(codes) + conv(codes), where codes is what the chain was
 * given.
 *
 * Every activation that a norm reads is written by a convolution, which also leaves the sums that
 * the next GroupNorm needs, and every normalisation is applied while the next convolution reads. So
 * no block passes over memory only to normalise.
 *
 * Shapes: N images, H rows, W columns, C channels, G groups. Activations are N,H,W,C.
 */
#ifndef NETWORK_BLOCKS_H
#define NETWORK_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "exec.h"
#include "layers.h"
#include "vqct/status.h"

enum block_kind {
  BLOCK_CONVOLUTION,
  BLOCK_RESIDUAL,
  BLOCK_ATTENTION,
  BLOCK_SPACE_TO_DEPTH, /* these two have no layers */
  BLOCK_DEPTH_TO_SPACE
};

#define BLOCK_LAYERS_MAX 4
#define BLOCK_NORMS_MAX  2

/* Where the layers of a block stand in struct block. */
enum { RESIDUAL_CONV1, RESIDUAL_CONV2, RESIDUAL_SHORTCUT };
enum { ATTENTION_QUERY, ATTENTION_KEY, ATTENTION_VALUE, ATTENTION_OUTPUT };

struct block {
  enum block_kind kind;
  int groups;      /* G of every GroupNorm of the network */
  bool upsample;   /* convolution: reads each position of x twice along each side */
  bool statistics; /* a GroupNorm reads y */
  int norms, layers;
  struct norm norm[BLOCK_NORMS_MAX];
  struct block_layer layer[BLOCK_LAYERS_MAX]; /* a residual block without shortcut has two */
};

/** What the backward pass of one block needs beside its parameters. */
struct block_tape {
  struct activation input;            /* x */
  struct activation hidden;           /* residual: h */
  float *query, *key, *value, *mixed; /* attention: N,H*W,C each; mixed is what proj reads */
};

/** Sets the shape of a block's output for an input of that shape; data and sums are untouched. */
void block_output_shape(const struct block *block, const struct activation *x,
                        struct activation *y);

/** Floating-point operations of one image of height x width, two a multiply-add, without
 * normalisation and softmax. */
uint64_t block_flops(const struct block *block, int height, int width);

/** Those of them that compare every position with every other: 0 but for attention. */
uint64_t block_attention_flops(const struct block *block, int height, int width);

/** Whether a block only adds to its input, so that y may be x. */
bool block_adds(const struct block *block);

/** y from x, and from what its chain was given, which spatial norms read: codes. y has its shape
 * and memory, and memory for sums where block->statistics; x has sums where the block starts with a
 * norm. With a tape, what is kept stays in the arena; without, all is given back. Errors: MEMORY.
 */
enum vqct_status block_forward(const struct block *block, const struct activation *x,
                               const struct activation *codes, const struct activation *y,
                               struct block_tape *tape, const struct exec *exec,
                               struct vqct_error *error);

/** Memory for data and, with groups > 0, for sums, from the arena. Errors: MEMORY. */
enum vqct_status activation_allocate(struct activation *activation, int groups, struct arena *arena,
                                     struct vqct_error *error);

/** Positions times channels of one image. */
size_t activation_image_size(const struct activation *activation);

#endif
