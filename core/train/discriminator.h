/* PatchGAN: the network that learns to tell made pictures from real ones, patch by patch.
 *
 * Source: Isola et al. 2017, as taming-transformers' NLayerDiscriminator: convolutions of 4x4 with
 * padding 1, `layers` of stride 2 and two of stride 1, channels doubling up to eight times the
 * first; BatchNorm after every convolution but the first and the last, LeakyReLU 0.2 after every
 * one but the last. BatchNorm always uses the statistics of the batch, since the network is never
 * run outside training. GroupNorm may stand in its place.
 *
 * Shapes: N pictures, H rows, W columns; pictures N,H,W,C in [-1,1].
 */
#ifndef TRAIN_DISCRIMINATOR_H
#define TRAIN_DISCRIMINATOR_H

#include <stdint.h>

#include "exec.h"
#include "parameters.h"
#include "reduction.h"
#include "vqct/status.h"
#include "vqct/train_settings.h"

struct discriminator_settings {
  int image_channels; /* 1 to 3 */
  int channels;       /* after the first convolution; 1 to 512 */
  int layers;         /* of stride 2; 1 to VQCT_TRAIN_LAYERS_MAX */
  enum vqct_train_judge_norm norm;
};

struct discriminator;

/** What one forward pass kept; its memory belongs to exec's arena. */
struct discriminator_pass {
  int images, height, width;
  const float *x;
  struct discriminator_kept {
    float *convolved, *active; /* N,h,w,c: before and after the norm and LeakyReLU */
    double *sums, *squares;    /* of convolved: BatchNorm's c over all processes, or N,groups */
    int height, width;
  } kept[VQCT_TRAIN_LAYERS_MAX + 2];
  float *logit; /* of every patch */
  size_t logits;
};

/** Errors: INVALID (a setting), MEMORY; *discriminator is then NULL. */
enum vqct_status discriminator_new(const struct discriminator_settings *settings,
                                   struct discriminator **discriminator, struct vqct_error *error);

/** NULL is allowed. */
void discriminator_free(struct discriminator *discriminator);

/** Its parameters by taming's names, such as "main.3.weight"; they belong to the discriminator.
 * First values, by parameters_initialize, are taming's: kernels normal (0, 0.02), BatchNorm weights
 * normal (1, 0.02), and biases as PyTorch's default. */
const struct parameter_list *discriminator_parameters(const struct discriminator *discriminator);

/** Packs the parameters of a block, which must stay where it is and is read by the backward pass,
 * with the pool's team. Errors: MEMORY. */
enum vqct_status discriminator_load(struct discriminator *discriminator, const float *block,
                                    struct pool *pool, struct vqct_error *error);

/** Sets *pass to the heights and widths of pictures of one size, all else empty. Errors: INVALID
 * (they are so small that nothing is left of them). */
enum vqct_status discriminator_sizes(const struct discriminator *discriminator, int height,
                                     int width, struct discriminator_pass *pass,
                                     struct vqct_error *error);

/** Judges N pictures. x must outlive the pass. reduction: NULL for a single process. Errors:
 * INVALID (pictures too small), MEMORY. */
enum vqct_status discriminator_forward(const struct discriminator *discriminator, const float *x,
                                       int images, int height, int width,
                                       const struct reduction *reduction,
                                       struct discriminator_pass *pass, const struct exec *exec,
                                       struct vqct_error *error);

/** From dlogit (pass->logits) to the gradients of the parameters (added to `gradients`, a block, or
 * NULL) and of the pictures (overwriting dx, N,H,W,C, or NULL). A pass may be used several times.
 * Errors: MEMORY. */
enum vqct_status discriminator_backward(const struct discriminator *discriminator,
                                        const struct discriminator_pass *pass, const float *dlogit,
                                        float *gradients, float *dx,
                                        const struct reduction *reduction, const struct exec *exec,
                                        struct vqct_error *error);

#endif
