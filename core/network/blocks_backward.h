/* The backward pass of the network's blocks and chains: gradients for what a chain read and for
 * its parameters, from the tape that the forward pass kept.
 *
 * Shapes: N images, H rows, W columns, C channels. Gradients have the shape of what they belong to.
 * Sums run in a fixed order, so results are the same bit for bit for every number of threads.
 */
#ifndef NETWORK_BLOCKS_BACKWARD_H
#define NETWORK_BLOCKS_BACKWARD_H

#include "blocks.h"
#include "network.h"
#include "parameters.h"

/** The parameters of a network as the trainer holds them, with their gradients. */
struct parameter_gradients {
  const struct parameter_list *list;
  const float *values; /* list->total numbers, those that the network was loaded with */
  float *gradients;    /* list->total numbers, added to */
};

/** Backward pass of a chain whose forward pass left `tape`, a record for each block. dy: for the
 * chain's output; dx: for its input, overwritten, or NULL. Errors: MEMORY. */
enum vqct_status chain_backward(const struct chain *chain, const struct block_tape *tape,
                                const struct parameter_gradients *parameters, const float *dy,
                                float *dx, const struct exec *exec, struct vqct_error *error);

/** Gradient for the weight (O,I,K,K, added to) of the convolution that ends a chain, without going
 * further back: what the adaptive weight of the adversarial loss compares. Errors: MEMORY. */
enum vqct_status chain_last_weight_gradient(const struct chain *chain,
                                            const struct block_tape *tape, const float *dy,
                                            float *dweight, const struct exec *exec,
                                            struct vqct_error *error);

/** How many numbers that weight has. */
size_t chain_last_weight_count(const struct chain *chain);

#endif
