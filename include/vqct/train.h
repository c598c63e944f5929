/* Training: from photographs and a prior to a model, in one folder.
 *
 *   struct vqct_train_settings settings = VQCT_TRAIN_SETTINGS_DEFAULT;
 *   const char *data[] = {"photos", "shards/train-000.tar"};
 *   settings.folder = "runs/first";
 *   settings.prior = "prior.safetensors";
 *   settings.data = data;
 *   settings.data_count = 2;
 *   struct vqct_train_hooks hooks = {.progress = show, .stopping = asked_to_stop};
 *   if (vqct_train(&settings, &hooks, &error) == VQCT_OK)
 *     vqct_model_open("runs/first/model.safetensors", &model, &error);
 *
 * What the folder holds and how a run goes on after any end is told in docs/training.md.
 */
#ifndef VQCT_TRAIN_H
#define VQCT_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vqct/codebook.h"
#include "vqct/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How codes come about: from the prior's embeddings through the graph convolution, or by what it
 * is compared with (two linear layers; a fixed random projection; a random codebook, each code on
 * its own; a frozen random codebook times a trained matrix; moving averages). */
enum vqct_train_codes {
  VQCT_CODES_GCN,
  VQCT_CODES_MLP,
  VQCT_CODES_FIXED,
  VQCT_CODES_FREE,
  VQCT_CODES_SIMVQ,
  VQCT_CODES_EMA
};

/** Words of the prior that become codes. One part alone makes a plain codebook. */
enum vqct_train_parts { VQCT_PARTS_BOTH, VQCT_PARTS_ADJECTIVES, VQCT_PARTS_NOUNS };

/** Which side of the codebook loss beta stands before: the codes', as the published code has it, or
 * the commitment's, where it was meant to be. */
enum vqct_train_beta { VQCT_BETA_RELEASED, VQCT_BETA_CORRECTED };

/** Mean absolute or mean squared difference of pixels. */
enum vqct_train_pixel { VQCT_PIXEL_L1, VQCT_PIXEL_L2 };

#define VQCT_TRAIN_LAYERS_MAX 5 /* of the discriminator */

/** What a run does. Strings and lists belong to the caller and must outlive vqct_train. */
struct vqct_train_settings {
  const char *folder;      /* made where it is not there */
  bool resume;             /* go on from its newest checkpoint; otherwise it must not have one */
  const char *const *data; /* directories, .tar shards and pictures */
  size_t data_count;
  const char *const *validation; /* the same; none: held_out pictures of the data */
  size_t validation_count;
  const char *prior;        /* file; NULL only for codes that need none */
  const char *perceptual;   /* file of LPIPS; NULL: trained without that loss */
  const char *preset;       /* architecture: vqct-f16, vqct-f8-small or vqct-tiny */
  const char *architecture; /* file of JSON, instead of a preset; or NULL */
  const char *name;         /* of the model; NULL: its architecture's */

  enum vqct_train_codes codes;
  enum vqct_train_parts parts;
  bool standardize;    /* the embeddings, to mean 0 and variance 1 */
  double dropout;      /* of the graph convolution; 0 to below 1 */
  int64_t adjective_k; /* adjectives chosen for each position; 0: as the architecture says */
  int64_t random_adjectives, random_nouns; /* codes without a prior; 0: as the architecture says */
  double beta;
  enum vqct_train_beta beta_placement;
  double codebook_weight;
  double ema_decay, ema_threshold; /* of VQCT_CODES_EMA: decay; choices a step, averaged, below
                                    * which a code starts anew */

  enum vqct_train_pixel pixel;
  double pixel_weight, perceptual_weight;
  int64_t discriminator_start;    /* first step of the adversarial loss; -1: never */
  double discriminator_weight;    /* what its adaptive weight is multiplied by */
  double discriminator_rate;      /* learning rate; 0: the generator's */
  int64_t discriminator_channels; /* of its first convolution; 1 to 512 */
  int64_t discriminator_layers;   /* that halve the picture; 1 to VQCT_TRAIN_LAYERS_MAX */

  double learning_rate;
  bool cosine; /* let it fall along a cosine, to final_learning_rate at the last step */
  double final_learning_rate;
  int64_t warmup_steps;
  double beta1, beta2;  /* of Adam */
  double clip_norm;     /* longest gradient; 0: any */
  double average_decay; /* of a moving average of the weights, which is then the model; 0: none */

  int64_t batch;             /* pictures computed together, in this process */
  int64_t accumulate;        /* such batches in a step */
  int64_t steps;             /* of the whole run */
  int64_t until;             /* step to end at as if asked to; 0: none. Not kept in the folder */
  int64_t crop;              /* pixels: side of what is trained on */
  double crop_min, crop_max; /* side cut out, as a share of a picture's short side */
  bool flip;                 /* mirror every other crop */
  int64_t late_start;        /* step from which on crops are of late_crop; -1: never */
  int64_t late_crop, late_batch;
  int64_t seed;           /* of weights, dropout, order and augmentation */
  int64_t threads;        /* that compute; 0: one for each processor */
  int64_t loader_threads; /* that decode pictures ahead; 1 to 64 */

  int64_t log_every;        /* steps to a line of metrics; 0, here and below: only at the end */
  int64_t validate_every;   /* to validation, pictures, curves and the model */
  int64_t checkpoint_every; /* to a checkpoint */
  int64_t held_out;         /* pictures kept for validation where there are no validation paths */
  int64_t validation_pictures; /* the most that a validation uses */
  int64_t validation_size;     /* pixels: they are cut to squares of this side */
};

/* The paper's values at one process with batches of 8. */
#define VQCT_TRAIN_SETTINGS_DEFAULT                                                                \
  {                                                                                                \
    .preset = "vqct-f8-small", .standardize = true, .dropout = 0.5, .beta = 0.25,                  \
    .codebook_weight = 1, .ema_decay = 0.99, .ema_threshold = 0.01, .pixel_weight = 1,             \
    .perceptual_weight = 1, .discriminator_start = 10000, .discriminator_weight = 0.8,             \
    .discriminator_channels = 64, .discriminator_layers = 3, .learning_rate = 7.2e-5,              \
    .beta1 = 0.5, .beta2 = 0.9, .batch = 8, .accumulate = 1, .steps = 100000, .crop = 256,         \
    .crop_min = 0.5, .crop_max = 1, .flip = true, .late_start = -1, .late_crop = 256,              \
    .late_batch = 8, .loader_threads = 2, .log_every = 50, .validate_every = 1000,                 \
    .checkpoint_every = 500, .held_out = 64, .validation_pictures = 64, .validation_size = 256     \
  }

/** Losses: means over the steps since the line before. */
struct vqct_train_losses {
  double pixel, perceptual, codebook;
  double generator, discriminator, adaptive_weight; /* 0 before the adversarial loss starts */
  double gradient_norm, discriminator_norm;         /* before clipping */
};

/** One line of the log. */
struct vqct_train_progress {
  uint64_t step, steps;  /* done; of the whole run */
  double seconds;        /* of this process since it started */
  double rate;           /* pictures a second since the line before */
  double remaining;      /* seconds, by that rate */
  double waited;         /* share of the time since the start that computing waited for data */
  uint64_t bad_pictures; /* that this process could not decode, each counted once */
  double learning_rate;
  struct vqct_train_losses losses;
  uint64_t window;     /* positions that the codebooks' health is over */
  int codebooks;       /* 1 or 2 */
  const char *name[2]; /* "adjective" and "noun", or "code" */
  struct vqct_codebook_health health[2];
};

/** How good reconstructions are and how well the codebooks are used, over a set of pictures. */
struct vqct_evaluation {
  uint64_t pictures, positions;
  double psnr; /* dB, mean over the pictures; infinite where every one came back exactly */
  double ssim;
  double lpips; /* NaN without a network */
  int codebooks;
  const char *name[2]; /* as above */
  struct vqct_codebook_health health[2];
};

/** What a run tells and asks, in the thread of vqct_train; context goes to each. Any may be NULL.
 */
struct vqct_train_hooks {
  /* once, before the first step: settings, data and checkpoint have proved good, and the folder is
   * this run's alone; what is not VQCT_OK ends it */
  enum vqct_status (*begin)(void *context, struct vqct_error *error);
  void (*progress)(void *context, const struct vqct_train_progress *progress);
  void (*validated)(void *context, uint64_t step, const struct vqct_evaluation *result);
  void (*message)(void *context, const char *message); /* one sentence about something unusual */
  bool (*stopping)(void *context); /* after every step; true: write a checkpoint and end */
  void *context;
};

/** Trains until settings->steps. Starts threads of its own and ends them; two runs may go on at
 * once in two folders. Errors: INVALID (a setting), READ, MODEL, DATA, WRITE, MEMORY, INTERRUPTED
 * (stopping said so; a checkpoint was written), NOT_FINITE (a loss or gradient; the last good
 * checkpoint is kept). */
enum vqct_status vqct_train(const struct vqct_train_settings *settings,
                            const struct vqct_train_hooks *hooks, struct vqct_error *error);

#ifdef __cplusplus
}
#endif
#endif
