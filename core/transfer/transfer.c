/* What never changes during training is folded when a transfer is made: the graph into the
 * embeddings (GCN), the projection into the codes (FIXED). Each kind is then a case of
 * list_parameters, initial_range, fold_input, forward and backward, and everybody else sees one
 * flat block of parameters. */
#include "transfer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gcn.h"
#include "linear.h"
#include "rng.h"
#include "size.h"
#include "sparse.h"

#define CODE_DIMENSION_MAX ((size_t)4096)
#define MLP_SLOPE          0.1F

/* Streams of the configuration's seed; those of the dropout are (step, row) and so below these. */
#define STREAM_PROJECTION UINT64_MAX
#define STREAM_CODEBOOK   (UINT64_MAX - 1)

struct transfer {
  struct transfer_config config;
  size_t inputs;       /* D; d for SIMVQ; 0 for FREE */
  float *input;        /* GCN: S X. MLP: X. SIMVQ: the frozen codebook. FIXED: the codes themselves.
                        * N,D or N,d; NULL for FREE */
  struct sparse graph; /* GCN only */
  struct gcn_tape tape;
  struct parameter_list parameters;
};

#define NAME(enumerator, name) name,
static const char *const kind_names[] = {VQCT_TRAIN_CODES_MAP(NAME)};
#undef NAME

static bool needs_prior(enum vqct_train_codes kind) {
  return kind == VQCT_CODES_GCN || kind == VQCT_CODES_MLP || kind == VQCT_CODES_FIXED;
}

/* ---- parameters ------------------------------------------------------------------------------ */

/* A layer's weight (outputs,inputs) and bias (outputs), uniform in +-range; a range of 0 stands for
 * all zeros. */
static void add_linear(struct parameter_list *list, const char *weight, const char *bias,
                       size_t outputs, size_t inputs, double weight_range, double bias_range) {
  const int shape[2] = {(int)outputs, (int)inputs};
  parameter_list_add(list, weight, 2, shape,
                     (struct parameter_start){PARAMETER_UNIFORM, 0, weight_range});
  parameter_list_add(list, bias, 1, shape,
                     (struct parameter_start){PARAMETER_UNIFORM, 0, bias_range});
}

static double glorot_range(size_t outputs, size_t inputs) {
  return sqrt(6.0 / (double)(outputs + inputs));
}

static double linear_range(size_t inputs) {
  return 1 / sqrt((double)inputs);
}

static enum vqct_status list_parameters(struct transfer *transfer, struct vqct_error *error) {
  struct parameter_list *list = &transfer->parameters;
  size_t d = transfer->config.code_dimension, D = transfer->inputs, N = transfer->config.codes;
  switch (transfer->config.kind) {
  case VQCT_CODES_GCN:
    add_linear(list, "quantize.gcn.conv1.lin.weight", "quantize.gcn.conv1.bias", d, D,
               glorot_range(d, D), 0);
    add_linear(list, "quantize.gcn.conv2.lin.weight", "quantize.gcn.conv2.bias", d, d,
               glorot_range(d, d), 0);
    break;
  case VQCT_CODES_MLP:
    add_linear(list, "quantize.mlp.0.weight", "quantize.mlp.0.bias", d, D, linear_range(D),
               linear_range(D));
    add_linear(list, "quantize.mlp.2.weight", "quantize.mlp.2.bias", d, d, linear_range(d),
               linear_range(d));
    break;
  case VQCT_CODES_FREE:
    parameter_list_add(list, "quantize.embedding.weight", 2, (const int[]){(int)N, (int)d},
                       (struct parameter_start){PARAMETER_UNIFORM, 0, 1.0 / (double)N});
    break;
  case VQCT_CODES_SIMVQ:
    add_linear(list, "quantize.embedding_proj.weight", "quantize.embedding_proj.bias", d, d,
               linear_range(d), linear_range(d));
    break;
  default: /* FIXED has none */
    break;
  }
  return list->failed ? error_set(error, VQCT_MEMORY, "transfer: no memory") : VQCT_OK;
}

const struct parameter_list *transfer_parameters(const struct transfer *transfer) {
  return &transfer->parameters;
}

/* ---- making ---------------------------------------------------------------------------------- */

static enum vqct_status check_config(const struct transfer_config *config,
                                     const struct prior *prior, struct vqct_error *error) {
  if ((unsigned)config->kind >= VQCT_CODES_EMA)
    return error_set(error, VQCT_INVALID, "transfer: %d is not a kind", (int)config->kind);
  if (config->codes < 1 || config->codes > PRIOR_WORDS_MAX)
    return error_set(error, VQCT_INVALID, "transfer: %zu codes: from 1 to %zu are possible",
                     config->codes, PRIOR_WORDS_MAX);
  if (config->code_dimension < 1 || config->code_dimension > CODE_DIMENSION_MAX)
    return error_set(error, VQCT_INVALID, "transfer: code dimension %zu: from 1 to %zu is possible",
                     config->code_dimension, CODE_DIMENSION_MAX);
  if (!(config->dropout >= 0 && config->dropout < 1))
    return error_set(error, VQCT_INVALID, "transfer: dropout %g: from 0 to below 1 is possible",
                     (double)config->dropout);
  if (needs_prior(config->kind) && !prior)
    return error_set(error, VQCT_INVALID, "transfer: '%s' needs a prior", kind_names[config->kind]);
  if (prior && prior->words != config->codes)
    return error_set(error, VQCT_INVALID, "transfer: %zu codes, but the prior has %zu words",
                     config->codes, prior->words);
  return VQCT_OK;
}

/* rows * columns floats, cleared; *floats stays NULL on failure. */
static enum vqct_status matrix_new(size_t rows, size_t columns, float **floats,
                                   struct vqct_error *error) {
  size_t count;
  *floats = NULL;
  if (size_multiply(rows, columns, &count))
    *floats = calloc(count, sizeof **floats);
  return *floats ? VQCT_OK
                 : error_set(error, VQCT_MEMORY, "transfer: no memory for %zu x %zu numbers", rows,
                             columns);
}

/* Brings each column to mean 0 and variance 1; a constant column to 0. */
static void standardize_columns(float *x, size_t rows, size_t columns) {
  for (size_t c = 0; c < columns; c++) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < rows; i++)
      mean += (double)x[i * columns + c];
    mean /= (double)rows;
    for (size_t i = 0; i < rows; i++) {
      double off = (double)x[i * columns + c] - mean;
      variance += off * off;
    }
    variance /= (double)rows;
    double scale = variance > 0 ? 1 / sqrt(variance) : 0;
    for (size_t i = 0; i < rows; i++)
      x[i * columns + c] = (float)(((double)x[i * columns + c] - mean) * scale);
  }
}

/* A frozen codebook or projection: normal numbers of the given deviation. */
static void fill_normal(float *x, size_t count, double deviation, uint64_t seed, uint64_t stream) {
  struct rng rng;
  rng_seed(&rng, seed, stream);
  for (size_t i = 0; i < count; i++)
    x[i] = (float)(deviation * (double)rng_normal(&rng));
}

/* Replaces `input`, the embeddings, by what the kind makes of them once and for all. */
static enum vqct_status fold_input(struct transfer *transfer, const struct prior *prior,
                                   const struct exec *exec, struct vqct_error *error) {
  size_t rows = transfer->config.codes, d = transfer->config.code_dimension, D = transfer->inputs;
  float *folded = NULL, *projection = NULL;
  enum vqct_status status = VQCT_OK;
  if (transfer->config.kind == VQCT_CODES_GCN) {
    status = sparse_from_graph(rows, prior->edges, prior->edge_count, &transfer->graph, error);
    if (status != VQCT_OK || (status = matrix_new(rows, D, &folded, error)) != VQCT_OK)
      goto done;
    sparse_multiply(&transfer->graph, transfer->input, D, folded, exec);
  } else if (transfer->config.kind == VQCT_CODES_FIXED) {
    if ((status = matrix_new(rows, d, &folded, error)) != VQCT_OK ||
        (status = matrix_new(d, D, &projection, error)) != VQCT_OK)
      goto done;
    /* Keeps squared lengths in the mean, relative to the number of dimensions. */
    fill_normal(projection, d * D, 1 / sqrt((double)D), transfer->config.seed, STREAM_PROJECTION);
    struct linear layer = {D, d, projection, NULL};
    status = linear_forward(&layer, transfer->input, rows, folded, exec);
    if (status != VQCT_OK) {
      error_set(error, status, "transfer: no memory for the projection");
      goto done;
    }
  } else {
    return VQCT_OK;
  }
  free(transfer->input);
  transfer->input = folded;
  folded = NULL;
done:
  free(projection);
  free(folded);
  return status;
}

static enum vqct_status take_embeddings(struct transfer *transfer, const struct prior *prior,
                                        const struct exec *exec, struct vqct_error *error) {
  size_t rows = prior->words, columns = prior->dimension;
  transfer->inputs = columns;
  enum vqct_status status = matrix_new(rows, columns, &transfer->input, error);
  if (status != VQCT_OK)
    return status;
  for (size_t i = 0; i < rows * columns; i++)
    if (!isfinite(prior->embeddings[i]))
      return error_set(error, VQCT_NOT_FINITE, "transfer: the embedding of word %zu is not finite",
                       i / columns);
  memcpy(transfer->input, prior->embeddings, rows * columns * sizeof *transfer->input);
  if (transfer->config.standardize)
    standardize_columns(transfer->input, rows, columns);
  return fold_input(transfer, prior, exec, error);
}

static enum vqct_status new_tape(struct transfer *transfer, struct vqct_error *error) {
  size_t rows = transfer->config.codes, d = transfer->config.code_dimension;
  enum vqct_status status = matrix_new(rows, d, &transfer->tape.factor, error);
  if (status != VQCT_OK)
    return status;
  status = matrix_new(rows, d, &transfer->tape.mixed, error);
  if (status != VQCT_OK || transfer->config.kind != VQCT_CODES_GCN)
    return status;
  return matrix_new(rows, d, &transfer->tape.hidden, error);
}

/* What a transfer of its configuration's kind consists of. */
static enum vqct_status build(struct transfer *transfer, const struct prior *prior,
                              const struct exec *exec, struct vqct_error *error) {
  const struct transfer_config *config = &transfer->config;
  size_t rows = config->codes, d = config->code_dimension;
  enum vqct_status status;
  if (needs_prior(config->kind)) {
    status = take_embeddings(transfer, prior, exec, error);
    if (status != VQCT_OK)
      return status;
  }
  if (config->kind == VQCT_CODES_SIMVQ) {
    transfer->inputs = d;
    status = matrix_new(rows, d, &transfer->input, error);
    if (status != VQCT_OK)
      return status;
    /* Rows of about unit length, as in SimVQ's code. */
    fill_normal(transfer->input, rows * d, 1 / sqrt((double)d), config->seed, STREAM_CODEBOOK);
  }
  if (config->kind == VQCT_CODES_GCN || config->kind == VQCT_CODES_MLP) {
    status = new_tape(transfer, error);
    if (status != VQCT_OK)
      return status;
  }
  return list_parameters(transfer, error);
}

enum vqct_status transfer_new(const struct transfer_config *config, const struct prior *prior,
                              const struct exec *exec, struct transfer **result,
                              struct vqct_error *error) {
  *result = NULL;
  enum vqct_status status = check_config(config, prior, error);
  if (status != VQCT_OK)
    return status;
  struct transfer *transfer = calloc(1, sizeof *transfer);
  if (!transfer)
    return error_set(error, VQCT_MEMORY, "transfer: no memory");
  transfer->config = *config;
  status = build(transfer, prior, exec, error);
  if (status != VQCT_OK) {
    transfer_free(transfer);
    return status;
  }
  *result = transfer;
  return VQCT_OK;
}

void transfer_free(struct transfer *transfer) {
  if (!transfer)
    return;
  free(transfer->tape.hidden);
  free(transfer->tape.mixed);
  free(transfer->tape.factor);
  sparse_free(&transfer->graph);
  parameter_list_free(&transfer->parameters);
  free(transfer->input);
  free(transfer);
}

/* ---- running --------------------------------------------------------------------------------- */

static struct gcn gcn_of(const struct transfer *transfer) {
  bool graph = transfer->config.kind == VQCT_CODES_GCN;
  return (struct gcn){.rows = transfer->config.codes,
                      .inputs = transfer->inputs,
                      .outputs = transfer->config.code_dimension,
                      .input = transfer->input,
                      .graph = graph ? &transfer->graph : NULL,
                      .slope = graph ? 0 : MLP_SLOPE,
                      .dropout = graph ? transfer->config.dropout : 0,
                      .seed = transfer->config.seed};
}

static struct gcn_weights weights_of(const struct transfer *transfer, const float *parameters) {
  const struct parameter *p = transfer->parameters.parameter;
  return (struct gcn_weights){parameters + p[0].offset, parameters + p[1].offset,
                              parameters + p[2].offset, parameters + p[3].offset};
}

enum vqct_status transfer_forward(struct transfer *transfer, const float *parameters, bool training,
                                  uint64_t step, float *codes, const struct exec *exec) {
  size_t rows = transfer->config.codes, d = transfer->config.code_dimension;
  if (transfer->config.kind == VQCT_CODES_FIXED || transfer->config.kind == VQCT_CODES_FREE) {
    const float *from = transfer->config.kind == VQCT_CODES_FIXED ? transfer->input : parameters;
    memcpy(codes, from, rows * d * sizeof *codes);
    return VQCT_OK;
  }
  if (transfer->config.kind == VQCT_CODES_SIMVQ) {
    struct linear layer = {d, d, parameters, parameters + transfer->parameters.parameter[1].offset};
    return linear_forward(&layer, transfer->input, rows, codes, exec);
  }
  struct gcn gcn = gcn_of(transfer);
  struct gcn_weights weights = weights_of(transfer, parameters);
  return gcn_forward(&gcn, &weights, training, step, &transfer->tape, codes, exec);
}

enum vqct_status transfer_backward(struct transfer *transfer, const float *parameters,
                                   const float *dcodes, float *gradients, const struct exec *exec) {
  size_t rows = transfer->config.codes, d = transfer->config.code_dimension;
  const struct parameter *p = transfer->parameters.parameter;
  if (transfer->config.kind == VQCT_CODES_FIXED)
    return VQCT_OK;
  if (transfer->config.kind == VQCT_CODES_FREE) {
    for (size_t i = 0; i < rows * d; i++)
      gradients[i] += dcodes[i];
    return VQCT_OK;
  }
  if (transfer->config.kind == VQCT_CODES_SIMVQ) {
    struct linear layer = {d, d, parameters, parameters + p[1].offset};
    return linear_backward(&layer, transfer->input, dcodes, rows, NULL, gradients,
                           gradients + p[1].offset, exec);
  }
  struct gcn gcn = gcn_of(transfer);
  struct gcn_weights weights = weights_of(transfer, parameters);
  struct gcn_gradients to = {gradients + p[0].offset, gradients + p[1].offset,
                             gradients + p[2].offset, gradients + p[3].offset};
  return gcn_backward(&gcn, &weights, &transfer->tape, dcodes, &to, exec);
}
