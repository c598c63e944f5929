/* The public interface of training, in the trainer's own terms. */
#include "train.h"

#include <stdio.h>
#include <string.h>

#include "cpu.h"
#include "error.h"
#include "model_file.h"
#include "presets.h"
#include "run.h"

/* ---- ranges ---------------------------------------------------------------------------------- */

static enum vqct_status check_range(const char *name, double value, double least, double most,
                                    struct vqct_error *error) {
  if (value >= least && value <= most)
    return VQCT_OK;
  return error_set(error, VQCT_INVALID, "training: %s is %g; it must be from %g to %g", name, value,
                   least, most);
}

/* The ranges that the command's --help states, whoever calls. */
static enum vqct_status check_settings(const struct vqct_train_settings *s,
                                       struct vqct_error *error) {
  enum vqct_status status;
  if (!s->folder)
    return error_set(error, VQCT_INVALID, "training: no folder is given");
#define PASS(field, ...)
#define ONE(enumerator, name) +1
#define RANGE(field, option, fallback, least, most, value, doc)                                    \
  if ((status = check_range(#field, (double)s->field, least, most, error)) != VQCT_OK)             \
    return status;
#define CHOICE(field, option, tag, names, fallback, value, doc)                                    \
  if ((status = check_range(#field, (double)s->field, 0, 0 names(ONE) - 1, error)) != VQCT_OK)     \
    return status;
  VQCT_TRAIN_SETTING_MAP(PASS, PASS, RANGE, RANGE, CHOICE)
#undef PASS
#undef ONE
#undef RANGE
#undef CHOICE
  if (s->crop_min > s->crop_max)
    return error_set(error, VQCT_INVALID, "crop-min %g is above crop-max %g", s->crop_min,
                     s->crop_max);
  if (s->coverage_weight > 0 && (s->codes == VQCT_CODES_EMA || s->codes == VQCT_CODES_FIXED))
    return error_set(error, VQCT_INVALID,
                     "coverage-weight %g draws codes by gradients, which this kind has none of",
                     s->coverage_weight);
  return VQCT_OK;
}

/* ---- meaning --------------------------------------------------------------------------------- */

static enum vqct_status read_model_config(const char *path, struct model_config *config,
                                          struct vqct_error *error) {
  struct model_file file;
  enum vqct_status status = model_file_open(path, &file, error);
  if (status != VQCT_OK)
    return status;
  *config = file.config;
  model_file_close(&file);
  return VQCT_OK;
}

static enum vqct_status choose_architecture(const struct vqct_train_settings *s,
                                            struct model_config *config, struct vqct_error *error) {
  if (s->architecture)
    return model_config_read(s->architecture, config, error);
  if (s->from)
    return read_model_config(s->from, config, error);
  const struct model_preset *preset = s->preset ? model_preset_find(s->preset) : NULL;
  if (!preset)
    return error_set(error, VQCT_INVALID, "there is no preset '%.80s'", s->preset ? s->preset : "");
  *config = preset->config;
  return VQCT_OK;
}

static enum vqct_status make_architecture(const struct vqct_train_settings *s,
                                          struct model_config *config, struct vqct_error *error) {
  enum vqct_status status = choose_architecture(s, config, error);
  if (status != VQCT_OK)
    return status;
  if (s->name &&
      snprintf(config->name, sizeof config->name, "%s", s->name) >= (int)sizeof config->name)
    return error_set(error, VQCT_INVALID, "the name is longer than %zu characters",
                     sizeof config->name - 1);
  if (s->adjective_k)
    config->adjective_k = (int)s->adjective_k;
  if (s->random_adjectives && !s->prior)
    config->adjectives = (int)s->random_adjectives;
  if (s->random_nouns && !s->prior)
    config->nouns = (int)s->random_nouns;
  if (!config->decoder_blocks)
    return error_set(error, VQCT_INVALID, "the architecture has no decoder to train with");
  return model_config_check(config, error);
}

static struct trainer_settings make_trainer(const struct vqct_train_settings *s) {
  struct optimizer_settings generator = {
      .learning_rate = s->learning_rate,
      .final_learning_rate = s->final_learning_rate,
      .warmup_steps = (uint64_t)s->warmup_steps,
      .decay_steps = s->cosine ? (uint64_t)s->steps : 0,
      .beta1 = s->beta1,
      .beta2 = s->beta2,
      .epsilon = 1e-8,
      .clip_norm = s->clip_norm,
      .average_decay = s->average_decay,
  };
  struct optimizer_settings judge = generator;
  if (s->discriminator_rate > 0) {
    judge.final_learning_rate *= s->discriminator_rate / s->learning_rate;
    judge.learning_rate = s->discriminator_rate;
  }
  judge.average_decay = 0;
  if (s->cosine && s->discriminator_start > 0) /* it counts its own steps */
    judge.decay_steps =
        s->steps > s->discriminator_start ? (uint64_t)(s->steps - s->discriminator_start) : 0;
  return (struct trainer_settings){
      .codes = s->codes,
      .standardize = s->standardize,
      .dropout = s->codes == VQCT_CODES_GCN ? s->dropout : 0,
      .codebook = {s->beta, s->beta_placement},
      .codebook_weight = s->estimator == VQCT_ESTIMATOR_DIVEQ ? 0 : s->codebook_weight,
      .coverage_weight = s->coverage_weight,
      .estimator = {s->estimator, s->diveq_noise, (uint64_t)s->seed},
      .pixel = s->pixel,
      .pixel_weight = s->pixel_weight,
      .detail_weight = s->detail_weight,
      .perceptual_weight = s->perceptual_weight,
      .anchor_weight = s->anchor_weight,
      .adversary = {s->discriminator_start < 0 ? UINT64_MAX : (uint64_t)s->discriminator_start,
                    s->discriminator_weight, s->discriminator_adaptive, s->discriminator_gap,
                    s->lecam_weight, s->discriminator_augment},
      .discriminator = {3, (int)s->discriminator_channels, (int)s->discriminator_layers,
                        s->discriminator_normalize},
      .generator_optimizer = generator,
      .discriminator_optimizer = judge,
      .ema = {s->ema_decay, s->ema_threshold, (uint64_t)s->seed},
      .seed = (uint64_t)s->seed,
  };
}

static enum vqct_status translate_settings(const struct vqct_train_settings *s,
                                           struct run_settings *settings,
                                           struct vqct_error *error) {
  struct model_config config = {0};
  enum vqct_status status = check_settings(s, error);
  if (status != VQCT_OK)
    return status;
  status = make_architecture(s, &config, error);
  if (status != VQCT_OK)
    return status;
  *settings = (struct run_settings){
      .config = config,
      .trainer = make_trainer(s),
      .folder = s->folder,
      .from = s->from,
      .prior = s->prior,
      .parts = s->parts,
      .perceptual = s->perceptual_weight > 0 ? s->perceptual : NULL,
      .anchors = s->anchor_weight > 0 ? s->anchors : NULL,
      .data = s->data,
      .data_count = s->data_count,
      .validation = s->validation,
      .validation_count = s->validation_count,
      .held_out = (uint64_t)s->held_out,
      .validation_pictures = (uint64_t)s->validation_pictures,
      .validation_size = (int)s->validation_size,
      .crop = (int)s->crop,
      .late_crop = (int)(s->late_start < 0 ? s->crop : s->late_crop),
      .late_start = s->late_start < 0 ? UINT64_MAX : (uint64_t)s->late_start,
      .late_batch = (int)(s->late_start < 0 ? s->batch : s->late_batch),
      .crop_min = s->crop_min,
      .crop_max = s->crop_max,
      .flip = s->flip,
      .batch = (int)s->batch,
      .accumulate = (int)s->accumulate,
      .steps = (uint64_t)s->steps,
      .log_every = (uint64_t)s->log_every,
      .validate_every = (uint64_t)s->validate_every,
      .checkpoint_every = (uint64_t)s->checkpoint_every,
      .until = (uint64_t)s->until,
      .threads = cpu_threads(s->threads),
      .loader_threads = (unsigned)s->loader_threads,
      .resume = s->resume,
  };
  return VQCT_OK;
}

enum vqct_status train_together(const struct vqct_train_settings *settings,
                                const struct vqct_train_hooks *hooks,
                                const struct reduction *reduction, struct vqct_error *error) {
  static const struct vqct_train_hooks silent = {0};
  struct run_settings meant;
  enum vqct_status status = translate_settings(settings, &meant, error);
  return status == VQCT_OK ? run_training(&meant, hooks ? hooks : &silent, reduction, error)
                           : status;
}

enum vqct_status vqct_train(const struct vqct_train_settings *settings,
                            const struct vqct_train_hooks *hooks, struct vqct_error *error) {
  return train_together(settings, hooks, NULL, error);
}
