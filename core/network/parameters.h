/* The list of all weights of a network's configuration, in one fixed order (that of the forward
 * pass): encoder, quant_conv, post_quant_conv, decoder. It serves initialisation, the check of
 * model files, import reports, and the trainer's flat block. The codebook is not among them: it is
 * either baked into the model file or computed by the transfer.
 */
#ifndef NETWORK_PARAMETERS_H
#define NETWORK_PARAMETERS_H

#include <stddef.h>
#include <stdint.h>

#include "config.h"

enum parameter_role {
  PARAMETER_KERNEL, /* weight of a convolution: O,I,kernel,kernel */
  PARAMETER_BIAS,   /* of a convolution: O */
  PARAMETER_SCALE,  /* weight of a GroupNorm: C */
  PARAMETER_SHIFT   /* bias of a GroupNorm: C */
};

struct parameter {
  char name[64]; /* as in taming's state dict, such as "encoder.down.0.block.1.conv2.weight" */
  enum parameter_role role;
  int dims;      /* 4 for a kernel, 1 for the others */
  int shape[4];  /* unused ones are 1 */
  int fan_in;    /* I * kernel * kernel of the convolution, for its bias too; 0 for a norm */
  size_t count;  /* numbers: the product of the shape */
  size_t offset; /* of the first number in a flat block of floats */
};

struct parameter_list {
  struct parameter *parameter;
  size_t count;
  size_t total;   /* numbers in all parameters: the length of a flat block */
  size_t largest; /* numbers in the largest parameter */
};

/** Lists the parameters of a checked configuration. Errors: MEMORY; the list is then empty. */
enum vqct_status parameter_list_init(const struct model_config *config, struct parameter_list *list,
                                     struct vqct_error *error);

/** Frees the list; it may be called again. */
void parameter_list_free(struct parameter_list *list);

/** The parameter of a name, NULL if there is none. */
const struct parameter *parameter_find(const struct parameter_list *list, const char *name);

/** Fills a flat block of list->total floats as PyTorch's defaults do: kernels and biases uniform in
 * +-1/sqrt(fan_in) (kaiming_uniform with a = sqrt 5), norms 1 and 0. Every parameter has its own
 * stream of the seed, so its values depend on its place in the list only. */
void parameters_initialize(const struct parameter_list *list, uint64_t seed, float *block);

#endif
