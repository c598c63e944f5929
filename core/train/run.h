/* A training run: data, steps, logs, validation, checkpoints and the final model, in one folder.
 *
 *   FOLDER/metrics.jsonl        a line every log_every steps (metrics_log.h)
 *   FOLDER/last.safetensors     the newest checkpoint; best.safetensors: the best by validation
 *   FOLDER/model.safetensors    the model of the newest checkpoint, ready to serve
 *   FOLDER/reconstructions.png  validation pictures above what became of them
 *   FOLDER/curves.svg           the metrics drawn
 *
 * Whatever happens, the folder holds a whole checkpoint: files are replaced by renaming.
 */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H

#include <stdbool.h>

#include "trainer.h"
#include "vqct/train.h"

struct run_settings {
  struct model_config config; /* a prior replaces its numbers of codes */
  struct trainer_settings trainer;
  const char *folder;
  const char *from;            /* path of a model file to begin with; NULL: fresh weights */
  const char *prior;           /* path; NULL where the codes need none */
  enum vqct_train_parts parts; /* needs a prior unless it is VQCT_PARTS_BOTH */
  const char *perceptual;      /* path; NULL: no perceptual loss */
  const char *anchors;         /* path; NULL: no words are tied to colours */
  const char *const *data;
  size_t data_count;
  const char *const *validation; /* paths; none: pictures held out of the data */
  size_t validation_count;
  uint64_t held_out;            /* pictures kept for validation where no path is given */
  uint64_t validation_pictures; /* the most that validation uses */
  int validation_size;          /* side in pixels; a multiple of the downsampling */
  int crop;                     /* side of a training crop in pixels */
  int late_crop;                /* the same from step late_start on */
  uint64_t late_start;          /* UINT64_MAX: never */
  int late_batch;               /* pictures of a micro-batch from then on */
  double crop_min, crop_max;    /* sides of the squares cut out, as parts of the short side */
  bool flip;
  int batch;      /* pictures of a micro-batch on this process */
  int accumulate; /* micro-batches of a step */
  uint64_t steps;
  uint64_t until;                                       /* step to end at as if asked to; 0: none */
  uint64_t log_every, validate_every, checkpoint_every; /* steps; 0: never but at the end */
  unsigned threads, loader_threads;
  bool resume; /* go on from FOLDER/last.safetensors; otherwise the folder must not have one */
};

/** Trains until settings->steps. reduction: NULL for one process; only rank 0 writes. Errors:
 * INTERRUPTED (stopping said so; a checkpoint was written), NOT_FINITE (the last good checkpoint is
 * kept), and those of files and settings. */
enum vqct_status run_training(const struct run_settings *settings,
                              const struct vqct_train_hooks *hooks,
                              const struct reduction *reduction, struct vqct_error *error);

#endif
