#include "quantizer.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gemm.h"
#include "size.h"

#define ROWS_MAX       64                /* vectors compared together */
#define SCORES_MAX     ((size_t)4 << 20) /* numbers: bounds the memory for large codebooks */
#define LANES          16                /* running minima: what a vector register holds */
#define HALF_UNIT      (FLT_EPSILON / 2) /* relative error of one rounding */
#define LENGTH_MINIMUM 1e-12             /* as F.normalize has it */

/* ---- codebooks ------------------------------------------------------------------------------- */

static double squared_length(const float *vector, size_t dimension) {
  double sum = 0;
  for (size_t i = 0; i < dimension; i++)
    sum += (double)vector[i] * vector[i];
  return sum;
}

static void normalize(const float *vector, size_t dimension, float *result) {
  double length = sqrt(squared_length(vector, dimension));
  double factor = 1 / (length > LENGTH_MINIMUM ? length : LENGTH_MINIMUM);
  for (size_t i = 0; i < dimension; i++)
    result[i] = (float)(vector[i] * factor);
}

static void codebook_load(struct codebook *codebook, size_t dimension, bool dot,
                          const float *codes) {
  double largest = 0;
  codebook->codes = codes;
  for (size_t i = 0; i < codebook->count; i++) {
    double square = squared_length(codes + i * dimension, dimension);
    codebook->squares[i] = dot ? 0 : (float)square;
    largest = square > largest ? square : largest;
  }
  codebook->largest = (float)sqrt(largest);
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

/* Up to k codes, nearest first. */
struct choice {
  double distance[QUANTIZER_K_MAX];
  uint32_t code[QUANTIZER_K_MAX];
};

/* Vectors that are compared with all codes of a codebook. */
struct comparison {
  const struct codebook *codebook;
  bool dot;
  size_t dimension, stride; /* of vectors: d numbers, the next vector `stride` numbers on */
  const float *vectors;
  float *scores;    /* rows,count: -2 z e, then |e|^2 - 2 z e */
  uint32_t *tokens; /* of the first row, in the first of its planes */
  size_t plane;     /* numbers from one plane to the next */
};

/* What decides between codes, the less the better. */
static double exact_distance(const float *a, const float *b, size_t dimension, bool dot) {
  double sum = 0;
  for (size_t i = 0; dot && i < dimension; i++)
    sum -= (double)a[i] * b[i];
  if (dot)
    return sum;
  for (size_t i = 0; i < dimension; i++) {
    double difference = (double)a[i] - b[i];
    sum += difference * difference;
  }
  return sum;
}

/* Codes come in rising order, so that "less" leaves ties to the lower one. */
static void choice_offer(struct choice *choice, size_t k, double distance, uint32_t code) {
  size_t at = k;
  while (at > 0 && distance < choice->distance[at - 1])
    at--;
  for (size_t i = k; i-- > at + 1;) {
    choice->distance[i] = choice->distance[i - 1];
    choice->code[i] = choice->code[i - 1];
  }
  if (at < k) {
    choice->distance[at] = distance;
    choice->code[at] = code;
  }
}

/* Adds |e|^2 to the scores and gives the least and the second least of the sums. */
static void finish_scores(float *scores, const float *squares, size_t count, float least[2]) {
  float first[LANES], second[LANES];
  size_t i = 0;
  for (int l = 0; l < LANES; l++)
    first[l] = second[l] = INFINITY;
  for (; i + LANES <= count; i += LANES)
    for (int l = 0; l < LANES; l++) {
      float score = scores[i + (size_t)l] += squares[i + (size_t)l];
      float higher = score > first[l] ? score : first[l];
      first[l] = score < first[l] ? score : first[l];
      second[l] = higher < second[l] ? higher : second[l];
    }
  for (int l = 0; i < count; i++, l++) {
    float score = scores[i] += squares[i];
    float higher = score > first[l] ? score : first[l];
    first[l] = score < first[l] ? score : first[l];
    second[l] = higher < second[l] ? higher : second[l];
  }
  least[0] = least[1] = INFINITY;
  for (int l = 0; l < LANES; l++) {
    float both[2] = {first[l], second[l]};
    for (int j = 0; j < 2; j++)
      if (both[j] < least[0]) {
        least[1] = least[0];
        least[0] = both[j];
      } else if (both[j] < least[1]) {
        least[1] = both[j];
      }
  }
}

static bool any_at_most(const float *scores, size_t count, float limit) {
  int found = 0;
  for (size_t i = 0; i < count; i++)
    found |= scores[i] <= limit;
  return found;
}

/* How far a score may be from the true |e|^2 - 2 z e: a product of d terms in fp32 is off by at
 * most d roundings of |z| |e|, and squaring and adding round three times more. */
static double score_error(const struct comparison *c, const float *vector) {
  double length = sqrt(squared_length(vector, c->dimension)), largest = c->codebook->largest;
  return HALF_UNIT * ((2 * (double)c->dimension + 4) * length * largest + 3 * largest * largest);
}

static void choose_row(void *argument, size_t row, unsigned worker) {
  (void)worker;
  const struct comparison *c = argument;
  const struct codebook *codebook = c->codebook;
  const float *vector = c->vectors + row * c->stride;
  float *scores = c->scores + row * codebook->count, least[2];
  finish_scores(scores, codebook->squares, codebook->count, least);
  double bound = least[codebook->k - 1] + 2 * score_error(c, vector);
  float limit = nextafterf((float)bound, INFINITY);
  struct choice choice = {.distance = {INFINITY, INFINITY}};
  for (size_t i = 0; i < codebook->count; i += LANES) {
    size_t lanes = codebook->count - i < LANES ? codebook->count - i : LANES;
    if (!any_at_most(scores + i, lanes, limit))
      continue;
    for (size_t j = i; j < i + lanes; j++)
      if (scores[j] <= limit)
        choice_offer(
            &choice, codebook->k,
            exact_distance(vector, codebook->codes + j * c->dimension, c->dimension, c->dot),
            (uint32_t)j);
  }
  for (size_t j = 0; j < codebook->k; j++)
    c->tokens[j * c->plane + row] = codebook->first + choice.code[j];
}

static enum vqct_status choose_codes(const struct quantizer *quantizer,
                                     const struct codebook *codebook, const float *z,
                                     size_t positions, uint32_t *tokens, const struct exec *exec) {
  struct arena_mark mark = arena_mark(exec->arena);
  enum vqct_status status = VQCT_OK;
  size_t rows = SCORES_MAX / codebook->count;
  rows = rows < 1 ? 1 : rows > ROWS_MAX ? ROWS_MAX : rows;
  float *scores = arena_alloc(exec->arena, rows * codebook->count * sizeof *scores);
  if (!scores)
    return VQCT_MEMORY;
  for (size_t first = 0; first < positions && status == VQCT_OK; first += rows) {
    size_t left = positions - first, count = left < rows ? left : rows;
    struct comparison comparison = {.codebook = codebook,
                                    .dot = quantizer->dot,
                                    .dimension = quantizer->dimension,
                                    .stride = quantizer->channels,
                                    .vectors = z + first * quantizer->channels + codebook->channel,
                                    .scores = scores,
                                    .tokens = tokens + codebook->plane * positions + first,
                                    .plane = positions};
    struct gemm product = {.rows = count,
                           .columns = codebook->count,
                           .depth = quantizer->dimension,
                           .a = {comparison.vectors, quantizer->channels, false},
                           .b = {codebook->codes, quantizer->dimension, true},
                           .scale = -2,
                           .c = scores,
                           .c_stride = codebook->count};
    status = gemm_run(&product, exec);
    if (status == VQCT_OK)
      pool_run(exec->pool, count, choose_row, &comparison);
  }
  arena_release(exec->arena, mark);
  return status;
}

static bool all_finite(const float *values, size_t count) {
  int finite = 1;
  for (size_t i = 0; i < count; i++)
    finite &= isfinite(values[i]) != 0;
  return finite;
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
