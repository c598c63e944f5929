#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "checkpoint.h"
#include "error.h"
#include "run_inner.h"

#define SAMPLES_MAX   0x1p53 /* of a process before late_start: far from what a counter holds */
#define AHEAD_BATCHES 3      /* micro-batches decoded ahead */

double run_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool run_leads(const struct run *run) {
  return !run->reduction || run->reduction->rank == 0;
}

static void say(const struct run *run, const char *message) {
  if (run->hooks->message && run_leads(run))
    run->hooks->message(run->hooks->context, message);
}

/* ---- the crops' sizes over the run ----------------------------------------------------------- */

static bool is_late(const struct run_settings *s, uint64_t step) {
  return step >= s->late_start;
}

static int batch_at(const struct run_settings *s, uint64_t step) {
  return is_late(s, step) ? s->late_batch : s->batch;
}

static int crop_at(const struct run_settings *s, uint64_t step) {
  return is_late(s, step) ? s->late_crop : s->crop;
}

/* Samples that one process has taken before a step. */
static uint64_t place_of(const struct run_settings *s, uint64_t step) {
  uint64_t late = is_late(s, step) ? step - s->late_start : 0;
  return ((step - late) * (uint64_t)s->batch + late * (uint64_t)s->late_batch) *
         (uint64_t)s->accumulate;
}

/* The crop's side for sample `number` of the whole run. */
static int sample_side(const void *context, uint64_t number) {
  const struct run *run = context;
  const struct run_settings *s = run->settings;
  uint64_t ranks = (uint64_t)(run->reduction ? run->reduction->ranks : 1);
  if (s->late_start == UINT64_MAX)
    return s->crop;
  return number < place_of(s, s->late_start) * ranks ? s->crop : s->late_crop;
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum vqct_status check_settings(const struct run *run) {
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
static struct prior part_of(const struct prior *prior, enum run_parts parts) {
  struct prior part = *prior;
  bool adjectives = parts == PARTS_ADJECTIVES;
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
  enum run_parts parts = run->settings->parts;
  enum vqct_status status = prior_read(run->settings->prior, &run->prior, run->error);
  if (status != VQCT_OK)
    return status;
  if (config->quantizer != QUANTIZER_VQCT)
    return error_set(run->error, VQCT_INVALID, "a plain codebook has no prior");
  run->codes = parts == PARTS_BOTH ? run->prior : part_of(&run->prior, parts);
  config->adjectives = parts == PARTS_BOTH ? (int)run->codes.adjectives : 0;
  config->nouns = parts == PARTS_BOTH ? (int)run->codes.nouns : (int)run->codes.words;
  if (parts != PARTS_BOTH) {
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

static enum vqct_status open_data(struct run *run) {
  const struct run_settings *s = run->settings;
  enum vqct_status status =
      pictures_open(s->data, s->data_count, PICTURES_BAD_REFUSED, &run->pictures, run->error);
  if (status == VQCT_OK && s->validation_count)
    status = pictures_open(s->validation, s->validation_count, PICTURES_BAD_REFUSED,
                           &run->validation, run->error);
  return status;
}

static enum vqct_status start_loader(struct run *run) {
  const struct run_settings *s = run->settings;
  int most = s->batch > s->late_batch ? s->batch : s->late_batch;
  size_t side = (size_t)(s->crop > s->late_crop ? s->crop : s->late_crop);
  uint64_t ranks = (uint64_t)(run->reduction ? run->reduction->ranks : 1);
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
      .ranks = (unsigned)ranks,
      .rank = (unsigned)(run->reduction ? run->reduction->rank : 0),
  };
  run->batch = malloc((size_t)most * side * side * (size_t)settings.channels * sizeof *run->batch);
  if (!run->batch)
    return error_set(run->error, VQCT_MEMORY, "no memory for a batch of %d pictures", most);
  return loader_new(&settings, place_of(s, run->trainer->step), &run->loader, run->error);
}

/* What the best validation is the best of: numbers of other kinds cannot be compared with it. */
static void describe_best(const struct run *run, char text[64]) {
  snprintf(text, 64, "%s of %" PRIu64 " pictures of %d pixels", run->perceptual ? "LPIPS" : "PSNR",
           run->settings->validation_pictures, run->settings->validation_size);
}

static enum vqct_status resume(struct run *run) {
  struct checkpoint_extra extra = {.best = INFINITY};
  const char *path = run->path[RUN_LAST];
  bool there = access(path, F_OK) == 0;
  if (!there && run->settings->resume)
    return error_set(run->error, VQCT_READ, "%s: there is no checkpoint to go on from", path);
  if (there && !run->settings->resume)
    return error_set(run->error, VQCT_INVALID,
                     "%s: a run is here already; --resume goes on with it", path);
  enum vqct_status status =
      there ? checkpoint_load(path, run->trainer, &extra, run->error) : VQCT_OK;
  char measured[64];
  describe_best(run, measured);
  bool comparable = !*extra.best_of || strcmp(extra.best_of, measured) == 0; /* "": not recorded */
  run->best = comparable ? extra.best : INFINITY;
  if (status == VQCT_OK && extra.new_discriminator)
    say(run, "the checkpoint has no discriminator: one with fresh weights begins");
  if (status == VQCT_OK && extra.new_average)
    say(run, "the checkpoint has no averaged weights: the average begins at its weights");
  return status;
}

/* Crops that the discriminator will judge, perhaps days from now. */
static enum vqct_status check_judged(const struct run *run) {
  const struct run_settings *s = run->settings;
  const struct discriminator *judge = run->trainer->discriminator;
  uint64_t start = s->trainer.adversarial_start;
  uint64_t early = s->late_start < s->steps ? s->late_start : s->steps; /* the end of early crops */
  struct discriminator_pass sizes;
  enum vqct_status status = VQCT_OK;
  if (judge && start < early)
    status = discriminator_sizes(judge, s->crop, s->crop, &sizes, run->error);
  if (status == VQCT_OK && judge && start < s->steps && early < s->steps)
    status = discriminator_sizes(judge, s->late_crop, s->late_crop, &sizes, run->error);
  return status;
}

/* A picture that has been trained on says little where it validates. */
static enum vqct_status list_held_out(struct run *run) {
  bool moved = false;
  enum vqct_status status = run_list_held_out(run, &moved);
  if (status == VQCT_OK && moved && run->trainer->step) {
    say(run, "other pictures are held out than before, which the run may have been trained on: "
             "the best validation is looked for anew");
    run->best = INFINITY;
  }
  return status;
}

static enum vqct_status open_run(struct run *run) {
  const struct run_settings *s = run->settings;
  run->config = s->config;
  enum vqct_status status = check_settings(run);
  if (status == VQCT_OK)
    status = run_folder_open(run);
  if (status == VQCT_OK && s->prior)
    status = read_prior(run);
  else if (status == VQCT_OK && s->parts != PARTS_BOTH)
    status = error_set(run->error, VQCT_INVALID, "one part of speech alone needs a prior");
  if (status == VQCT_OK && s->perceptual)
    status = perceptual_open(s->perceptual, &run->perceptual, run->error);
  else if (status == VQCT_OK && s->trainer.perceptual_weight > 0)
    say(run, "no perceptual network is given: training without that loss");
  if (status == VQCT_OK)
    status = open_data(run);
  if (status == VQCT_OK)
    status = pool_new(s->threads, &run->pool, run->error);
  if (status == VQCT_OK)
    status = trainer_new(&run->config, &s->trainer, s->prior ? &run->codes : NULL, run->perceptual,
                         run->reduction, run->pool, &run->trainer, run->error);
  if (status == VQCT_OK)
    status = check_judged(run);
  if (status == VQCT_OK)
    status = resume(run);
  if (status == VQCT_OK)
    status = start_loader(run);
  if (status == VQCT_OK && run_leads(run) && !s->validation_count)
    status = list_held_out(run);
  if (status == VQCT_OK && run_leads(run))
    status = history_open(run->path[RUN_METRICS], run->trainer->step, &run->history, run->error);
  return status;
}

static void close_run(struct run *run) {
  history_close(run->history);
  loader_free(run->loader);
  trainer_free(run->trainer);
  pool_free(run->pool);
  pictures_close(run->pictures);
  pictures_close(run->validation);
  perceptual_free(run->perceptual);
  prior_free(&run->prior);
  run_folder_close(run);
  free(run->batch);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* What has happened since the last line of the log. */
struct interval {
  double since;
  uint64_t steps, pictures;
  struct vqct_train_losses sum;
};

static enum vqct_status one_step(struct run *run, struct interval *interval) {
  const struct run_settings *s = run->settings;
  struct trainer *t = run->trainer;
  int images = batch_at(s, t->step), side = crop_at(s, t->step);
  size_t size = (size_t)side * (size_t)side * (size_t)s->config.image_channels;
  struct vqct_train_losses losses;
  enum vqct_status status = VQCT_OK;
  for (int part = 0; part < s->accumulate && status == VQCT_OK; part++) {
    for (int n = 0; n < images && status == VQCT_OK; n++)
      status = loader_next(run->loader, run->batch + (size_t)n * size, run->error);
    if (status == VQCT_OK)
      status = trainer_accumulate(t, run->batch, images, side, side, part, s->accumulate, &losses,
                                  run->error);
  }
  if (status == VQCT_OK)
    status = trainer_update(t, &losses, run->error);
  if (status != VQCT_OK)
    return status;
  double *sum = (double *)&interval->sum;
  const double *one = (const double *)&losses;
  for (size_t i = 0; i < sizeof losses / sizeof(double); i++)
    sum[i] += one[i];
  interval->steps++;
  interval->pictures += (uint64_t)(images * s->accumulate);
  return VQCT_OK;
}

/* Counts of codes and means of losses become those of all processes. */
static enum vqct_status reduce_line(struct run *run, struct vqct_train_progress *row) {
  struct trainer *t = run->trainer;
  const struct reduction *reduction = run->reduction;
  double *losses = (double *)&row->losses;
  size_t kinds = sizeof row->losses / sizeof(double);
  if (!reduction)
    return VQCT_OK;
  struct arena_mark mark = arena_mark(&t->arena);
  double *counts = arena_alloc(&t->arena, t->codes * sizeof *counts);
  if (!counts)
    return error_set(run->error, VQCT_MEMORY, "no memory to count codes");
  for (size_t i = 0; i < t->codes; i++)
    counts[i] = (double)t->counts[i]; /* exact below 2^53 */
  reduction->sum(reduction->context, counts, t->codes);
  for (size_t i = 0; i < t->codes; i++)
    t->counts[i] = (uint64_t)counts[i];
  reduction->sum(reduction->context, losses, kinds);
  for (size_t i = 0; i < kinds; i++)
    losses[i] /= reduction->ranks;
  row->window *= (uint64_t)reduction->ranks;
  arena_release(&t->arena, mark);
  return VQCT_OK;
}

/* Writes and shows a line, and begins a new interval. */
static enum vqct_status log_line(struct run *run, struct interval *interval) {
  struct trainer *t = run->trainer;
  double now = run_seconds(), elapsed = now - interval->since;
  int ranks = run->reduction ? run->reduction->ranks : 1;
  struct vqct_train_progress row = {
      .step = t->step,
      .steps = run->settings->steps,
      .remaining = (double)(run->settings->steps - t->step) * elapsed / (double)interval->steps,
      .waited = loader_waited(run->loader) / (now - run->started),
      .seconds = now - run->started,
      .bad_pictures = loader_bad(run->loader),
      .rate = (double)interval->pictures * ranks / elapsed,
      .learning_rate = optimizer_rate(&t->settings.generator_optimizer, t->generator.steps - 1),
      .losses = interval->sum,
      .window = t->counted,
  };
  double *mean = (double *)&row.losses;
  for (size_t i = 0; i < sizeof row.losses / sizeof(double); i++)
    mean[i] /= (double)interval->steps;
  enum vqct_status status = reduce_line(run, &row);
  if (status != VQCT_OK)
    return status;
  row.codebooks =
      codebooks_health(t->config.adjectives, t->config.nouns, t->counts, row.name, row.health);
  trainer_clear_counts(t);
  *interval = (struct interval){.since = now};
  if (!run_leads(run))
    return VQCT_OK;
  if (run->hooks->progress)
    run->hooks->progress(run->hooks->context, &row);
  return history_add(run->history, &row, run->error);
}

static enum vqct_status save(struct run *run, enum run_file file) {
  struct checkpoint_extra extra = {.best = run->best};
  describe_best(run, extra.best_of);
  return checkpoint_save(run->path[file], run->trainer, &extra, run->error);
}

/* What is due after a step: validation, then checkpoints. */
static enum vqct_status after_step(struct run *run, struct interval *interval, bool end) {
  const struct run_settings *s = run->settings;
  uint64_t step = run->trainer->step;
  bool validate = end || (s->validate_every && step % s->validate_every == 0);
  bool keep = end || validate || (s->checkpoint_every && step % s->checkpoint_every == 0);
  bool better = false;
  double begin = run_seconds();
  enum vqct_status status = VQCT_OK;
  if (!run_leads(run))
    return VQCT_OK;
  if (validate)
    status = run_validate(run, &better);
  if (status == VQCT_OK && better)
    status = save(run, RUN_BEST);
  if (status == VQCT_OK && keep)
    status = save(run, RUN_LAST);
  interval->since += run_seconds() - begin; /* the log's rate is that of training */
  return status;
}

/* Whether any process was asked to stop: all of them end after the same step. */
static bool asked_to_stop(const struct run *run) {
  double stop = run->hooks->stopping && run->hooks->stopping(run->hooks->context);
  if (run->reduction)
    run->reduction->sum(run->reduction->context, &stop, 1);
  return stop > 0;
}

static enum vqct_status loop(struct run *run) {
  const struct run_settings *s = run->settings;
  struct trainer *t = run->trainer;
  struct interval interval = {.since = run_seconds()};
  enum vqct_status status = VQCT_OK;
  uint64_t last = s->until && s->until < s->steps ? s->until : s->steps;
  while (status == VQCT_OK && t->step < last) {
    status = one_step(run, &interval);
    bool end = t->step == s->steps;
    bool stop = status == VQCT_OK && (asked_to_stop(run) || t->step == last);
    if (status == VQCT_OK && (end || (s->log_every && t->step % s->log_every == 0)))
      status = log_line(run, &interval);
    if (status == VQCT_OK && (!stop || end))
      status = after_step(run, &interval, end);
    else if (status == VQCT_OK) {
      status = run_leads(run) ? save(run, RUN_LAST) : VQCT_OK;
      if (status == VQCT_OK)
        status = error_set(run->error, VQCT_INTERRUPTED,
                           "stopped after step %" PRIu64 "; --resume goes on", t->step);
    }
  }
  return status;
}

enum vqct_status run_training(const struct run_settings *settings,
                              const struct vqct_train_hooks *hooks,
                              const struct reduction *reduction, struct vqct_error *error) {
  struct run run = {.settings = settings,
                    .hooks = hooks,
                    .reduction = reduction,
                    .best = INFINITY,
                    .folder = -1,
                    .started = run_seconds(),
                    .error = error};
  enum vqct_status status = open_run(&run);
  if (status == VQCT_OK && hooks->begin && run_leads(&run))
    status = hooks->begin(hooks->context, error);
  if (status == VQCT_OK)
    status = loop(&run);
  close_run(&run);
  return status;
}
