/* The options of `vqct train`: the table, what they mean to the trainer, and their JSON form. */
#ifndef TRAIN_SETTINGS_H
#define TRAIN_SETTINGS_H

#include "options.h"
#include "run.h"

/** Values as the table sets them. */
struct train_options {
  const char *preset, *architecture, *name;
  struct option_list data, validation;
  const char *prior, *perceptual, *output;
  bool resume;
  int codes, parts;
  bool standardize;
  double dropout;
  int64_t adjective_k, random_adjectives, random_nouns;
  double beta;
  int beta_placement;
  double codebook_weight;
  int pixel;
  double pixel_weight, perceptual_weight;
  int64_t discriminator_start;
  double discriminator_weight, discriminator_rate;
  int64_t discriminator_channels, discriminator_layers;
  double learning_rate, final_learning_rate;
  int64_t warmup_steps;
  bool cosine;
  double beta1, beta2, clip_norm, average_decay;
  double ema_decay, ema_threshold;
  int64_t batch, accumulate, crop, late_crop, late_start, late_batch;
  double crop_min, crop_max;
  bool flip;
  int64_t steps, seed, threads, loader_threads;
  int64_t log_every, validate_every, checkpoint_every;
  int64_t metrics_port;
  int64_t held_out, validation_pictures, validation_size;
};

extern const struct option_table train_table;

/** What the options mean. Strings stay the options'. Errors: INVALID, READ, MODEL. */
enum vqct_status train_settings_make(const struct train_options *options,
                                     struct run_settings *settings, struct vqct_error *error);

/** Writes the options as JSON, in the form that --config reads, without --output and --resume.
 * Errors: WRITE, MEMORY. */
enum vqct_status train_settings_save(const struct train_options *options, const char *path,
                                     struct vqct_error *error);

#endif
