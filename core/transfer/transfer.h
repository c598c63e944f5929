/* Codebook transfer: from the frozen prior and some trained weights to the codes.
 *
 *   struct transfer_config config = {.kind = VQCT_CODES_GCN, .codes = prior.words,
 *                                    .code_dimension = 256, .dropout = 0.5F, .seed = 1};
 *   if (transfer_new(&config, &prior, &exec, &transfer, &error) == VQCT_OK) {
 *     const struct parameter_list *list = transfer_parameters(transfer);
 *     float *parameters = malloc(list->total * sizeof *parameters);
 *     parameters_initialize(list, seed, parameters);
 *     transfer_forward(transfer, parameters, true, step, codes, &exec);
 *     ...
 *     transfer_backward(transfer, parameters, dcodes, gradients, &exec);
 *   }
 *
 * The method is VQCT_CODES_GCN; the others are what it is compared with. N codes of d numbers, D
 * the dimension of the word embeddings. Results do not depend on the number of threads. A transfer
 * keeps what the forward pass leaves for the backward pass, so one thread at a time uses it.
 */
#ifndef TRANSFER_H
#define TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "exec.h"
#include "parameters.h"
#include "prior.h"
#include "vqct/train_settings.h"

struct transfer_config {
  enum vqct_train_codes kind; /* VQCT_CODES_EMA is no transfer */
  size_t codes;               /* N, 1 to 2^20; that of the prior where one is needed */
  size_t code_dimension;      /* d, 1 to 4096 */
  bool standardize; /* bring each of the D columns of the embeddings to mean 0 and variance 1 over
                     * the words, which keeps the codes' first scale apart from the embeddings' */
  float dropout;    /* of the GCN while training, 0 to below 1; the method has 0.5 */
  uint64_t seed;    /* of the dropout, and of what is random and frozen (FIXED, SIMVQ) */
};

struct transfer;

/** Prepares a transfer: the normalised graph, its product with the embeddings, the tape. The prior
 * may be NULL where the kind needs none, and is not used afterwards. Errors: INVALID (the
 * configuration, or a prior of other than `codes` words), MODEL (its graph), NOT_FINITE, MEMORY. */
enum vqct_status transfer_new(const struct transfer_config *config, const struct prior *prior,
                              const struct exec *exec, struct transfer **transfer,
                              struct vqct_error *error);

/** Frees it; NULL is allowed. */
void transfer_free(struct transfer *transfer);

/** The trained parameters, none for VQCT_CODES_FIXED, by names such as
 * "quantize.gcn.conv1.lin.weight". They belong to the transfer. First values, by
 * parameters_initialize: GCN uniform in +-sqrt(6 / (in + out)), biases 0 (Glorot, as PyTorch
 * Geometric does); MLP and SimVQ uniform in +-1/sqrt(in) (PyTorch's linear layer); FREE uniform in
 * +-1/N (as VQGAN's codebook). */
const struct parameter_list *transfer_parameters(const struct transfer *transfer);

/** codes (N,d) from a flat block of parameters. Dropout applies while training only and depends on
 * (seed, step) alone. Errors: MEMORY (scratch). */
enum vqct_status transfer_forward(struct transfer *transfer, const float *parameters, bool training,
                                  uint64_t step, float *codes, const struct exec *exec);

/** Adds the gradients of a loss to a flat block, from its gradient dcodes (N,d) for the codes of
 * the last transfer_forward, which must have had the same parameters. Errors: MEMORY (scratch). */
enum vqct_status transfer_backward(struct transfer *transfer, const float *parameters,
                                   const float *dcodes, float *gradients, const struct exec *exec);

#endif
