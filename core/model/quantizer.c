/* Where each codebook's channels, planes and rows lie; the search itself is code_search.h's.
 * Vectors are checked to be finite before it, since NaN is neither nearer nor farther. Where codes
 * have length 1, copies of that length stand for those of the file in both directions.
 */
#include "quantizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "size.h"

#define LENGTH_MINIMUM 1e-12 /* as F.normalize has it */

/* ---- codebooks ------------------------------------------------------------------------------- */

static void normalize(const float *vector, size_t dimension, float *result) {
  double length = sqrt(vector_square(vector, dimension));
  double factor = 1 / (length > LENGTH_MINIMUM ? length : LENGTH_MINIMUM);
  for (size_t i = 0; i < dimension; i++)
    result[i] = (float)(vector[i] * factor);
}

void quantizer_load(struct quantizer *quantizer, const float *codes) {
  size_t d = quantizer->dimension;
  if (quantizer->normalized) {
    for (size_t i = 0; i < quantizer->codebook[0].count; i++)
      normalize(codes + i * d, d, quantizer->normalized + i * d);
    codes = quantizer->normalized;
  }
  for (size_t i = 0; i < quantizer->codebooks; i++)
    codebook_load(&quantizer->codebook[i], d, quantizer->dot,
                  codes + quantizer->codebook[i].first * d);
}

static void codebooks_init(struct quantizer *quantizer, const struct model_config *config) {
  uint32_t adjectives = (uint32_t)config->adjectives, nouns = (uint32_t)config->nouns;
  size_t k = (size_t)config->adjective_k;
  if (config->quantizer == QUANTIZER_PLAIN) {
    quantizer->codebooks = 1;
    quantizer->codebook[0] = (struct codebook){.k = 1, .count = nouns};
    return;
  }
  quantizer->codebooks = 2;
  quantizer->codebook[0] = (struct codebook){.k = k, .count = adjectives};
  quantizer->codebook[1] = (struct codebook){
      .channel = quantizer->dimension, .plane = k, .k = 1, .first = adjectives, .count = nouns};
}

enum vqct_status quantizer_init(struct quantizer *quantizer, const struct model_config *config,
                                const float *codes, struct vqct_error *error) {
  *quantizer = (struct quantizer){.dimension = (size_t)config->code_dimension,
                                  .channels = (size_t)model_config_code_channels(config),
                                  .planes = (size_t)model_config_planes(config),
                                  .dot = config->distance == DISTANCE_DOT,
                                  .normalize = config->l2_normalize};
  codebooks_init(quantizer, config);
  bool complete = true;
  for (size_t i = 0; i < quantizer->codebooks; i++) {
    struct codebook *codebook = &quantizer->codebook[i];
    codebook->squares = calloc(codebook->count, sizeof *codebook->squares);
    complete = complete && codebook->squares;
  }
  size_t bytes;
  if (quantizer->normalize) {
    if (size_multiply(quantizer->codebook[0].count, quantizer->dimension * sizeof(float), &bytes))
      quantizer->normalized = malloc(bytes);
    complete = complete && quantizer->normalized;
  }
  if (!complete) {
    quantizer_free(quantizer);
    return error_set(error, VQCT_MEMORY, "no memory for a codebook of %d codes",
                     model_config_codes(config));
  }
  quantizer_load(quantizer, codes);
  return VQCT_OK;
}

void quantizer_free(struct quantizer *quantizer) {
  for (size_t i = 0; i < quantizer->codebooks; i++)
    free(quantizer->codebook[i].squares);
  free(quantizer->normalized);
  *quantizer = (struct quantizer){0};
}

/* ---- choosing -------------------------------------------------------------------------------- */

static bool all_finite(const float *values, size_t count) {
  int finite = 1;
  for (size_t i = 0; i < count; i++)
    finite &= isfinite(values[i]) != 0;
  return finite;
}

static enum vqct_status choose_codes(const struct quantizer *quantizer,
                                     const struct codebook *codebook, const float *z,
                                     size_t positions, uint32_t *tokens, const struct exec *exec) {
  struct code_search search = {.codebook = codebook,
                               .dimension = quantizer->dimension,
                               .dot = quantizer->dot,
                               .vectors = z + codebook->channel,
                               .stride = quantizer->channels,
                               .positions = positions,
                               .tokens = tokens + codebook->plane * positions};
  return code_search_run(&search, exec);
}

enum vqct_status quantizer_encode(const struct quantizer *quantizer, const float *z,
                                  size_t positions, uint32_t *tokens, const struct exec *exec,
                                  struct vqct_error *error) {
  if (!all_finite(z, positions * quantizer->channels))
    return error_set(error, VQCT_NOT_FINITE, "the encoder's output has NaN or infinity");
  struct arena_mark mark = arena_mark(exec->arena);
  enum vqct_status status = VQCT_OK;
  if (quantizer->normalize) {
    size_t d = quantizer->dimension;
    float *unit = arena_alloc(exec->arena, positions * d * sizeof *unit);
    for (size_t i = 0; unit && i < positions; i++)
      normalize(z + i * d, d, unit + i * d);
    status = unit ? VQCT_OK : VQCT_MEMORY;
    z = unit;
  }
  for (size_t i = 0; i < quantizer->codebooks && status == VQCT_OK; i++)
    status = choose_codes(quantizer, &quantizer->codebook[i], z, positions, tokens, exec);
  arena_release(exec->arena, mark);
  if (status != VQCT_OK)
    return error_set(error, status, "no memory to compare %zu vectors with the codebook",
                     positions);
  if (exec_stopped(exec))
    return error_set(error, VQCT_INTERRUPTED, "stopped while codes were chosen");
  return VQCT_OK;
}

/* ---- reading codes --------------------------------------------------------------------------- */

static void add_code(float *value, const float *code, size_t dimension, float weight) {
  for (size_t i = 0; i < dimension; i++)
    value[i] += weight * code[i];
}

static enum vqct_status add_values(const struct quantizer *quantizer,
                                   const struct codebook *codebook, const uint32_t *tokens,
                                   size_t positions, float *values, struct vqct_error *error) {
  size_t d = quantizer->dimension;
  for (size_t plane = codebook->plane; plane < codebook->plane + codebook->k; plane++)
    for (size_t t = 0; t < positions; t++) {
      uint32_t token = tokens[plane * positions + t];
      if (token < codebook->first || token - codebook->first >= codebook->count)
        return error_set(error, VQCT_TOKENS,
                         "token %u at position %zu of plane %zu is outside its codes, %u to %u",
                         token, t, plane, codebook->first, codebook->first + codebook->count - 1);
      add_code(values + t * quantizer->channels + codebook->channel,
               codebook->codes + (token - codebook->first) * d, d, 1.0F / (float)codebook->k);
    }
  return VQCT_OK;
}

enum vqct_status quantizer_decode(const struct quantizer *quantizer, const uint32_t *tokens,
                                  size_t positions, float *values, struct vqct_error *error) {
  memset(values, 0, positions * quantizer->channels * sizeof *values);
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < quantizer->codebooks && status == VQCT_OK; i++)
    status = add_values(quantizer, &quantizer->codebook[i], tokens, positions, values, error);
  return status;
}
