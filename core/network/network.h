/* The network of a configuration: two chains of blocks with packed weights.
 *
 *   encoder  picture N,H,W,C in [-1,1] -> encoder.* -> quant_conv -> z N,h,w,Z
 *   decoder  codes N,h,w,Z -> post_quant_conv -> decoder.* -> picture N,H,W,C
 *
 * Z is 2d for adjective and noun halves, d for a plain codebook. A network is read only while it
 * runs, so any number of threads may run it, each with its own exec; network_load must not run at
 * the same time.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include "blocks.h"
#include "config.h"
#include "parameters.h"

/** Where weights come from: a model file or the trainer's flat block. */
struct parameter_source {
  /* The values of parameter number `index` of the list, in PyTorch's order. Errors: as the source
   * has them. */
  enum vqct_status (*get)(void *context, int index, const float **values, struct vqct_error *error);
  /* The values are packed and not read again; may be NULL. */
  void (*release)(void *context, int index);
  void *context;
  bool precise; /* convolutions with the least rounding errors, as gradients need (conv.h) */
};

struct chain {
  struct block *block;
  int blocks;
};

struct network {
  struct chain encoder, decoder;
  int groups;
};

/** Builds both chains and packs the weights. The parameter list must be that of the configuration.
 * Errors: those of the source, MEMORY, INTERNAL (list and configuration do not fit). */
enum vqct_status network_new(const struct model_config *config, const struct parameter_list *list,
                             const struct parameter_source *source, struct network **network,
                             struct vqct_error *error);

/** Packs other values of the same parameters, as after an optimizer step, with the pool's team. */
enum vqct_status network_load(struct network *network, const struct parameter_source *source,
                              struct pool *pool, struct vqct_error *error);

/** NULL is allowed. */
void network_free(struct network *network);

/** Runs a chain. On return y->data lies in exec's arena until the caller releases it. With a tape
 * of chain->blocks records every block's input is kept there as well; without one, no more than
 * two activations and one block's inner one are held at a time. The results are bit for bit the
 * same for every number of images and threads, and with or without a tape. Errors: MEMORY,
 * INTERRUPTED (exec->stop asked for it). */
enum vqct_status chain_forward(const struct chain *chain, const struct activation *x,
                               struct activation *y, struct block_tape *tape,
                               const struct exec *exec, struct vqct_error *error);

/** Bytes of activations that a chain holds at once for one image, without the kernels' scratch. */
size_t chain_memory(const struct chain *chain, int height, int width);

/** Of chain_flops, those that compare every position with every other. They grow with the square
 * of the picture's area. */
uint64_t chain_attention_flops(const struct chain *chain, int height, int width);

/** Floating-point operations of a chain for one image, two a multiply-add. */
uint64_t chain_flops(const struct chain *chain, int height, int width);

#endif
