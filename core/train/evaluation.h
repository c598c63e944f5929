/* How good reconstructions are and how well the codebooks are used, over a set of pictures. */
#ifndef TRAIN_EVALUATION_H
#define TRAIN_EVALUATION_H

#include <stdint.h>

#include "exec.h"
#include "feature_network.h"
#include "frechet.h"
#include "perceptual.h"
#include "vqct/image.h"
#include "vqct/train.h"

/** Features of the originals and of their reconstructions, for a Frechet distance between them. */
struct feature_sums {
  const struct features *network; /* the caller's */
  struct moments original, made;  /* of the network's dimension, from moments_init */
};

/** Running sums. counts: one a code, from the caller. */
struct evaluation {
  uint64_t pictures;
  double psnr, ssim, lpips; /* sums over the pictures; lpips without a network stays 0 */
  uint64_t infinite;        /* pictures that came back exactly: not in psnr */
  uint64_t *counts;         /* N */
  uint64_t positions;
  struct feature_sums *features; /* the caller's; NULL: not measured */
};

/** Compares one picture with its reconstruction, both of the same shape with three channels.
 * perceptual may be NULL. Errors: INVALID (shape, or too small for a network), MEMORY. */
enum vqct_status evaluation_add(struct evaluation *evaluation, const struct vqct_image *original,
                                const struct vqct_image *made, const struct perceptual *perceptual,
                                const struct exec *exec, struct vqct_error *error);

/** Counts the tokens of one picture: P,T rows of the whole codebook, each below the length of
 * counts. */
void evaluation_count(struct evaluation *evaluation, const uint32_t *tokens, size_t planes,
                      size_t positions);

/** The codebooks of an architecture: their names and health, by the counts of its codes. */
int codebooks_health(int adjectives, int nouns, const uint64_t *counts, const char *name[2],
                     struct vqct_codebook_health health[2]);

/** Means of what was added; adjectives is 0 for a plain codebook. */
void evaluation_result(const struct evaluation *evaluation, int adjectives, int nouns,
                       struct vqct_evaluation *result);

#endif
