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
#include "vqct/train_settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Losses: means over the steps since the line before. */
struct vqct_train_losses {
  double pixel, perceptual;
  double detail; /* that windows have too much or too little; 0 without a weight */
  double codebook;
  double coverage;                                  /* of codes by vectors; 0 without a weight */
  double anchor;                                    /* 0 without anchors */
  double generator, discriminator, adaptive_weight; /* 0 before the adversarial loss starts */
  double logit_gap; /* how far the discriminator places real pictures above made ones */
  double gradient_norm, discriminator_norm; /* before clipping */
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
  /* called often and by any of the run's threads, within a step unless this is one of several
   * processes; true, which it must then go on saying: write a checkpoint of the last whole step and
   * end */
  bool (*stopping)(void *context);
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
