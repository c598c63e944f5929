/* Codebooks: the word behind each token, and how healthy a codebook is.
 *
 *   struct vqct_code code;
 *   if (vqct_model_code(model, token, &code))
 *     printf("%s (%s)\n", code.word, vqct_part_of_speech_name(code.part));
 *
 * All functions may be called from any thread.
 */
#ifndef VQCT_CODEBOOK_H
#define VQCT_CODEBOOK_H

#include "vqct/model.h"

#ifdef __cplusplus
extern "C" {
#endif

enum vqct_part_of_speech { VQCT_ADJECTIVE, VQCT_NOUN, VQCT_NO_PART };

/** "adjective", "noun" or "code". */
const char *vqct_part_of_speech_name(enum vqct_part_of_speech part);

/** One row of the codebook. Pointers belong to the model. */
struct vqct_code {
  const char *word; /* UTF-8; "" where the codebook has no words */
  enum vqct_part_of_speech part;
  uint64_t training_count; /* how often the trained model picked it in pictures of training and
                            * validation; 0 where that was not recorded */
  const float *vector;     /* d numbers */
};

/** The code of a token; false where there is none. */
bool vqct_model_code(const struct vqct_model *model, uint32_t token, struct vqct_code *code);

/** The vectors that tokens (P, positions) stand for, as the decoder sees them: positions, Z, for
 * each codebook the mean of its codes (of length 1 where the model compares directions). Errors:
 * TOKENS (one is outside its plane, naming it). */
enum vqct_status vqct_model_vectors(const struct vqct_model *model, const uint32_t *tokens,
                                    size_t positions, float *vectors, struct vqct_error *error);

/** The `count` codes of the same codebook nearest to a code by squared Euclidean distance, nearest
 * first, itself left out, ties by the lower number. Returns how many there are (at most count). */
size_t vqct_model_nearest(const struct vqct_model *model, uint32_t token, size_t count,
                          uint32_t *tokens, float *distances);

/** Health of one codebook over a set of tokens. A set smaller than about ten times the codebook
 * under-reports usage: always state `tokens` beside it. */
struct vqct_codebook_health {
  uint64_t codes, tokens;
  uint64_t used, dead; /* codes seen; codes never seen */
  double usage;        /* used / codes, 0 to 1 */
  double entropy;      /* bits */
  double perplexity;   /* 2^entropy; 0 for an empty set */
};

/** From a histogram of `codes` counts. */
void vqct_codebook_health(const uint64_t *counts, size_t codes,
                          struct vqct_codebook_health *health);

/** Jensen-Shannon divergence in bits, 0 to 1, of two histograms over the same codes; NaN where one
 * of them is empty. */
double vqct_codebook_drift(const uint64_t *counts, const uint64_t *reference, size_t codes);

#ifdef __cplusplus
}
#endif
#endif
