/* The list of all weights of a network's configuration, in one fixed order (that of the forward
 * pass): encoder, quant_conv, post_quant_conv, decoder. It serves initialisation, the check of
 * model files, import reports, and the trainer's flat block. The codebook is not among them: it is
 * either baked into the model file or computed by the transfer.
 */
#ifndef NETWORK_PARAMETERS_H
#define NETWORK_PARAMETERS_H

#include "config.h"
#include "parameters.h"

/** Lists the parameters of a checked configuration by taming's names. They start as PyTorch's
 * defaults do: kernels and biases uniform in +-1/sqrt(fan_in) (kaiming_uniform with a = sqrt 5),
 * norms 1 and 0. Errors: MEMORY; the list is then empty. */
enum vqct_status network_parameters(const struct model_config *config, struct parameter_list *list,
                                    struct vqct_error *error);

#endif
