/* Opening a run: what it reads, in the order in which one needs the other, and all that is checked
 * before the first step. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "collect.h"
#include "error.h"
#include "run_inner.h"

#define SAMPLES_MAX   0x1p53 /* of a process before late_start: far from what a counter holds */
#define AHEAD_BATCHES 3      /* micro-batches decoded ahead */

static uint64_t ranks_of(const struct run *run) {
  return (uint64_t)(run->reduction ? run->reduction->ranks : 1);
}

static enum vqct_status check_settings(struct run *run) {
  const struct run_settings *s = run->settings;
  int factor = model_config_downsampling(&s->config);
  if (s->crop % factor || s->late_crop % factor || s->validation_size % factor || s->crop < factor)
    return error_set(run->error, VQCT_INVALID,
                     "crops of %d, %d and %d pixels: they must be multiples of %d", s->crop,
                     s->late_crop, s->validation_size, factor);
  if (s->late_start != UINT64_MAX && (double)s->late_start * s->batch * s->accumulate > SAMPLES_MAX)
    return error_set(run->error, VQCT_INVALID,
                     "late-start is %" PRIu64 ": more than 2^53 pictures come before",
                     s->late_start);
  if (s->batch < 1 || s->late_batch < 1 || s->accumulate < 1 || !s->data_count)
    return error_set(run->error, VQCT_INVALID, "there is no data or no batch to train on");
  return VQCT_OK;
}

/* A view of the words of one part, which no edge joins. */
static struct prior part_of(const struct prior *prior, enum vqct_train_parts parts) {
  struct prior part = *prior;
  bool adjectives = parts == VQCT_PARTS_ADJECTIVES;
  size_t first = adjectives ? 0 : prior->adjectives;
  part.adjectives = adjectives ? prior->adjectives : 0;
  part.nouns = adjectives ? 0 : prior->nouns;
  part.words = part.adjectives + part.nouns;
  part.edge_count = 0;
  part.word += first;
  part.count += first;
  part.embeddings += first * prior->dimension;
  return part;
}

static enum vqct_status read_prior(struct run *run) {
  struct model_config *config = &run->config;
  enum vqct_train_parts parts = run->settings->parts;
  enum vqct_status status = prior_read(run->settings->prior, &run->prior, run->error);
  if (status != VQCT_OK)
    return status;
  if (config->quantizer != QUANTIZER_VQCT)
    return error_set(run->error, VQCT_INVALID, "a plain codebook has no prior");
  run->codes = parts == VQCT_PARTS_BOTH ? run->prior : part_of(&run->prior, parts);
  config->adjectives = parts == VQCT_PARTS_BOTH ? (int)run->codes.adjectives : 0;
  config->nouns = parts == VQCT_PARTS_BOTH ? (int)run->codes.nouns : (int)run->codes.words;
  if (parts != VQCT_PARTS_BOTH) {
    config->quantizer = QUANTIZER_PLAIN;
    config->adjective_k = 1;
  }
  return VQCT_OK;
}

/* Every process names the pictures that it met itself. */
static void report_bad(void *context, const char *message) {
  const struct run *run = context;
  if (run->hooks->message)
    run->hooks->message(run->hooks->context, message);
}

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b) {
  while (b) {
    uint64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* What is not listed of a set is told once, by the first process. */
static enum vqct_status open_set(struct run *run, const char *const *paths, size_t count,
                                 struct pictures **set) {
  const struct shard_stop stop = {run->stop.asked, run->stop.context};
  enum vqct_status status = pictures_open(paths, count, PICTURES_BAD_APART, &stop, set, run->error);
  if (status != VQCT_OK || (run->reduction && run->reduction->rank))
    return status;
  for (size_t i = 0; i < pictures_faults(*set); i++)
    report_bad(run, pictures_fault(*set, i));
  return VQCT_OK;
}

static enum vqct_status open_data(struct run *run) {
  const struct run_settings *s = run->settings;
  enum vqct_status status = open_set(run, s->data, s->data_count, &run->pictures);
  if (status != VQCT_OK || !s->validation_count)
    return status;
  return open_set(run, s->validation, s->validation_count, &run->validation);
}

/* The crop's side for sample `number` of the whole run. */
static int sample_side(const void *context, uint64_t number) {
  const struct run *run = context;
  const struct run_settings *s = run->settings;
  if (s->late_start == UINT64_MAX)
    return s->crop;
  return number < run_samples_before(s, s->late_start) * ranks_of(run) ? s->crop : s->late_crop;
}

static enum vqct_status start_loader(struct run *run) {
  const struct run_settings *s = run->settings;
  int most = s->batch > s->late_batch ? s->batch : s->late_batch;
  size_t side = (size_t)(s->crop > s->late_crop ? s->crop : s->late_crop);
  struct loader_settings settings = {
      .pictures = run->pictures,
      .held_out = s->validation_count ? 0 : s->held_out,
      .seed = s->trainer.seed,
      .crop_min = s->crop_min,
      .crop_max = s->crop_max,
      .flip = s->flip,
      .channels = s->config.image_channels,
      .threads = s->loader_threads,
      .ahead = (unsigned)(AHEAD_BATCHES * most),
      .side = sample_side,
      .report = report_bad,
      .context = run,
      .share = greatest_common_divisor((uint64_t)s->batch, (uint64_t)s->late_batch),
      .ranks = (unsigned)ranks_of(run),
      .rank = (unsigned)(run->reduction ? run->reduction->rank : 0),
  };
  run->batch = malloc((size_t)most * side * side * (size_t)settings.channels * sizeof *run->batch);
  if (!run->batch)
    return error_set(run->error, VQCT_MEMORY, "no memory for a batch of %d pictures", most);
  return loader_new(&settings, run_samples_before(s, run->trainer->step), &run->loader, run->error);
}

/* Crops that the discriminator will judge, perhaps days from now. */
static enum vqct_status check_judged(struct run *run) {
  const struct run_settings *s = run->settings;
  const struct discriminator *judge = run->trainer->discriminator;
  uint64_t start = s->trainer.adversary.start;
  uint64_t early = s->late_start < s->steps ? s->late_start : s->steps; /* the end of early crops */
  struct discriminator_pass sizes;
  enum vqct_status status = VQCT_OK;
  if (judge && start < early)
    status = discriminator_sizes(judge, s->crop, s->crop, &sizes, run->error);
  if (status != VQCT_OK || !judge || start >= s->steps || early >= s->steps)
    return status;
  return discriminator_sizes(judge, s->late_crop, s->late_crop, &sizes, run->error);
}

/* A picture that has been trained on says little where it validates. */
static enum vqct_status list_held_out(struct run *run) {
  bool moved = false;
  enum vqct_status status = run_list_held_out(run, &moved);
  if (status != VQCT_OK)
    return status;
  if (moved && run->trainer->step) {
    run_say(run, "other pictures are held out than before, which the run may have been trained on: "
                 "the best validation is looked for anew");
    run->best = INFINITY;
  }
  return VQCT_OK;
}

/* ---- in order -------------------------------------------------------------------------------- */

static enum vqct_status open_prior(struct run *run) {
  if (run->settings->prior)
    return read_prior(run);
  if (run->settings->parts != VQCT_PARTS_BOTH)
    return error_set(run->error, VQCT_INVALID, "one part of speech alone needs a prior");
  return VQCT_OK;
}

static enum vqct_status open_perceptual(struct run *run) {
  const struct run_settings *s = run->settings;
  if (s->perceptual)
    return perceptual_open(s->perceptual, &run->perceptual, run->error);
  if (s->trainer.perceptual_weight > 0)
    run_say(run, "no perceptual network is given: training without that loss");
  return VQCT_OK;
}

static enum vqct_status read_anchors(struct run *run) {
  const struct run_settings *s = run->settings;
  if (!s->anchors)
    return VQCT_OK;
  if (!run->codes.adjectives || run->config.quantizer != QUANTIZER_VQCT)
    return error_set(run->error, VQCT_INVALID, "anchors need a prior whose adjectives are codes");
  if (run->config.image_channels != 3)
    return error_set(run->error, VQCT_INVALID, "anchors need pictures of three channels, not of %d",
                     run->config.image_channels);
  return anchors_read(s->anchors, &run->codes, &run->anchors, run->error);
}

static enum vqct_status make_trainer(struct run *run) {
  const struct run_settings *s = run->settings;
  enum vqct_status status = pool_new(s->threads, &run->pool, run->error);
  if (status != VQCT_OK)
    return status;
  status = trainer_new(&run->config, &s->trainer, s->prior ? &run->codes : NULL, run->perceptual,
                       run->reduction, run->pool, &run->trainer, run->error);
  if (status != VQCT_OK)
    return status;
  if (run->anchors.count)
    run->trainer->anchors = &run->anchors;
  if (run->stop.asked && !run->reduction)
    run->trainer->stoppable.stop = &run->stop;
  return VQCT_OK;
}

static enum vqct_status open_lists(struct run *run) {
  if (!run_leads(run))
    return VQCT_OK;
  enum vqct_status status = run->settings->validation_count ? VQCT_OK : list_held_out(run);
  if (status != VQCT_OK)
    return status;
  return metrics_log_open(run->path[RUN_METRICS], run->trainer->step, &run->metrics, run->error);
}

enum vqct_status run_open(struct run *run) {
  static enum vqct_status (*const steps[])(struct run *) = {
      check_settings, run_folder_open, open_prior, read_anchors,   open_perceptual, open_data,
      make_trainer,   check_judged,    run_resume, run_begin_from, start_loader,    open_lists,
  };
  run->config = run->settings->config;
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    enum vqct_status status = steps[i](run);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

void run_close(struct run *run) {
  metrics_log_close(run->metrics);
  loader_free(run->loader);
  trainer_free(run->trainer);
  pool_free(run->pool);
  pictures_close(run->pictures);
  pictures_close(run->validation);
  perceptual_free(run->perceptual);
  prior_free(&run->prior);
  model_file_close(&run->from);
  free(run->words);
  run_folder_close(run);
  free(run->batch);
}
