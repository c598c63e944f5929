/* One model in training: its weights, its losses, and a step of it. Knows nothing of files, data
 * or time; run.c does.
 *
 * Shapes: N pictures of a micro-batch, H rows, W columns, C channels; T = N * h * w positions.
 * A step adds up the gradients of one or more micro-batches, then moves the weights. One thread
 * uses a trainer; it works with the team of exec.
 */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "anchor_loss.h"
#include "codebook_loss.h"
#include "discriminator.h"
#include "ema_codebook.h"
#include "estimator.h"
#include "loss.h"
#include "network.h"
#include "network_parameters.h"
#include "optimizer.h"
#include "perceptual.h"
#include "quantizer.h"
#include "reduction.h"
#include "transfer.h"
#include "vqct/train.h"

/* The game between generator and discriminator. */
struct adversary_settings {
  uint64_t start; /* step of the first adversarial loss; UINT64_MAX: never */
  double weight;  /* of it, or what the adaptive weight is multiplied by */
  bool adaptive;
  double gap; /* of logits, beyond which the discriminator does not learn; 0: it always does */
  double lecam_weight;
  bool augment; /* what the discriminator is shown */
};

/* What the discriminator's logits were on average, for LeCam. */
struct average_logits {
  double real, made;
  uint64_t batches; /* over so many */
};

struct trainer_settings {
  enum vqct_train_codes codes;
  bool standardize; /* the word embeddings, before the transfer */
  double dropout;   /* in the transfer */
  struct codebook_loss_settings codebook;
  double codebook_weight, coverage_weight;
  struct estimator_settings estimator;
  enum vqct_train_pixel pixel;
  double pixel_weight, perceptual_weight, detail_weight, anchor_weight;
  struct adversary_settings adversary;
  struct discriminator_settings discriminator;
  struct optimizer_settings generator_optimizer, discriminator_optimizer;
  struct ema_settings ema;
  uint64_t seed;
};

struct trainer {
  struct trainer_settings settings;
  struct model_config config;
  struct parameter_list list;
  struct network *network;
  struct transfer *transfer;           /* NULL with moving averages */
  struct optimizer generator;          /* block: network, then transfer */
  struct discriminator *discriminator; /* NULL where there is no adversarial loss */
  struct optimizer judge;              /* the discriminator's block */
  struct average_logits judged;        /* of all steps taken */
  struct average_logits judging;       /* those and of the step being taken */
  const struct perceptual *perceptual; /* the caller's; NULL: trained without */
  const struct reduction *reduction;   /* the caller's; NULL: one process */
  const struct anchors *anchors;       /* the caller's, who sets it; NULL: none */
  struct quantizer quantizer;
  struct ema_codebook ema;
  size_t codes;             /* N */
  float *codebook;          /* N,d: of the last transfer */
  float *dcodes;            /* N,d: gradients since the last step */
  uint64_t *counts;         /* N: how often a code was chosen since trainer_clear_counts */
  uint64_t counted;         /* positions that counts are over */
  uint64_t step;            /* steps taken */
  struct arena arena;       /* of exec */
  struct exec exec;         /* of what must be done whole */
  struct exec stoppable;    /* of what its stop may end early; NULL until the caller sets one */
  struct vqct_error *error; /* of the call that is running */
};

/** Makes a trainer with fresh weights, all of them settled by the seed. The prior may be NULL where
 * the codes need none; config's numbers of codes must be the prior's. perceptual, reduction and
 * pool belong to the caller and must outlive the trainer. Errors: INVALID, MODEL, MEMORY; *trainer
 * is then NULL. */
enum vqct_status trainer_new(const struct model_config *config,
                             const struct trainer_settings *settings, const struct prior *prior,
                             const struct perceptual *perceptual, const struct reduction *reduction,
                             struct pool *pool, struct trainer **trainer, struct vqct_error *error);

/** NULL is allowed. */
void trainer_free(struct trainer *trainer);

/** Adds the gradients of one micro-batch x (N,H,W,C in [-1,1], only read) as one of `parts` of a
 * step, and its losses to *losses, which the first part clears. Errors: NOT_FINITE (naming what),
 * INVALID (the picture's size), MEMORY; INTERRUPTED (stoppable's stop): the weights are those of
 * the step before, and the step can only be begun anew. */
enum vqct_status trainer_accumulate(struct trainer *trainer, float *x, int images, int height,
                                    int width, int part, int parts,
                                    struct vqct_train_losses *losses, struct vqct_error *error);

/** Moves the weights by the gradients that were accumulated. Errors: NOT_FINITE, naming the first
 * parameter whose gradient is not finite; nothing has then changed. MEMORY. */
enum vqct_status trainer_update(struct trainer *trainer, struct vqct_train_losses *losses,
                                struct vqct_error *error);

/** Starts counting the choice of codes anew. */
void trainer_clear_counts(struct trainer *trainer);

/** Packs the weights that training has now, for the next step: after an update and after a
 * checkpoint has been read. Errors: MEMORY. */
enum vqct_status trainer_pack(struct trainer *trainer, struct vqct_error *error);

/** Packs the weights that training has now, or their moving average (where there is one) for
 * validation and the final model; the codebook becomes that of those weights, without dropout.
 * trainer_pack must follow before the next step. Errors: MEMORY. */
enum vqct_status trainer_load(struct trainer *trainer, bool average, struct vqct_error *error);

/** Reconstructs x (N,H,W,C, only read) into y with the weights that are loaded; tokens (P,T) may be
 * NULL, and so may y, where only they are wanted. Errors: NOT_FINITE, MEMORY, INTERRUPTED. */
enum vqct_status trainer_reconstruct(struct trainer *trainer, float *x, int images, int height,
                                     int width, float *y, uint32_t *tokens,
                                     struct vqct_error *error);

/** The network's flat block that trainer_load packed: for the final model. */
const float *trainer_weights(const struct trainer *trainer, bool average);

#endif
