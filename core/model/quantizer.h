/* Vectors to tokens and back: the nearest codes of one or two codebooks.
 *
 * A plane of tokens belongs to one codebook: with adjective and noun halves the first d
 * channels of a vector choose k adjectives, whose mean is the value, and the other d choose a noun;
 * a plain codebook has one for all d channels.
 *
 * Shapes: N codes, T positions, d code dimension, Z channels (2d or d), P planes. A quantizer is
 * read only and may be shared by threads.
 */
#ifndef MODEL_QUANTIZER_H
#define MODEL_QUANTIZER_H

#include <stddef.h>
#include <stdint.h>

#include "code_search.h"
#include "config.h"
#include "exec.h"

#define QUANTIZER_CODEBOOKS_MAX 2

struct quantizer {
  size_t dimension; /* d */
  size_t channels;  /* Z */
  size_t planes;    /* P */
  size_t codebooks;
  bool dot;       /* the greatest dot product decides, not the distance */
  bool normalize; /* vectors are scaled to length 1; codes are so already */
  struct codebook codebook[QUANTIZER_CODEBOOKS_MAX];
  float *normalized; /* codes of length 1, or NULL */
};

/** Sets up for the codes N,d of all codebooks (adjectives first), which must outlive the quantizer
 * where it is not L2-normalised. quantizer_load may be called again with other codes, as after a
 * step of training. Errors: MEMORY. */
enum vqct_status quantizer_init(struct quantizer *quantizer, const struct model_config *config,
                                const float *codes, struct vqct_error *error);

/** Takes other codes of the same shape. */
void quantizer_load(struct quantizer *quantizer, const float *codes);

/** Frees; may be called again. */
void quantizer_free(struct quantizer *quantizer);

/** Tokens of the vectors z (T,Z) of one image: P,T rows of all codes. For each codebook the k
 * nearest codes by squared Euclidean distance (or by the dot product, the greatest first), nearest
 * first, ties by the lower row. Errors: NOT_FINITE (z has NaN or infinity), MEMORY (scratch),
 * INTERRUPTED (the work was to stop: the tokens are then unspecified). */
enum vqct_status quantizer_encode(const struct quantizer *quantizer, const float *z,
                                  size_t positions, uint32_t *tokens, const struct exec *exec,
                                  struct vqct_error *error);

/** Values of the tokens (P,T): T,Z, for each codebook the mean of its k codes. Errors: TOKENS (one
 * is outside its plane's codebook, naming it). */
enum vqct_status quantizer_decode(const struct quantizer *quantizer, const uint32_t *tokens,
                                  size_t positions, float *values, struct vqct_error *error);

#endif
