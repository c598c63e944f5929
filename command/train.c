/* vqct train: from photographs and a prior to a model.
 *
 * SIGTERM and SIGINT ask for a checkpoint and an end. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic_file.h"
#include "command.h"
#include "distributed.h"
#include "error.h"
#include "signals.h"
#include "train.h"
#include "train_metrics.h"
#include "train_settings.h"

/* ---- what the run tells ---------------------------------------------------------------------- */

/* Of the hooks. */
struct telling {
  struct train_metrics *metrics; /* NULL without a port */
  const struct train_options *options;
  struct arena *arena;
};

static bool stopping(void *context) {
  (void)context;
  return signals_stop();
}

static void show_message(void *context, const char *message) {
  (void)context;
  fprintf(stderr, "vqct train: %s\n", message);
}

static void show_time(double seconds) {
  unsigned long all = (unsigned long)seconds;
  printf("%lu:%02lu:%02lu", all / 3600, all / 60 % 60, all % 60);
}

static void show_health(int books, const char *const *name,
                        const struct vqct_codebook_health *health) {
  for (int i = 0; i < books; i++)
    printf("  %s %.1f%% of %llu, perplexity %.0f", name[i], 100 * health[i].usage,
           (unsigned long long)health[i].codes, health[i].perplexity);
}

static void show_progress(void *context, const struct vqct_train_progress *progress) {
  const struct telling *telling = context;
  train_metrics_log(telling->metrics, progress);
  const struct vqct_train_losses *l = &progress->losses;
  printf("step %llu of %llu  %.2f images/s  ", (unsigned long long)progress->step,
         (unsigned long long)progress->steps, progress->rate);
  show_time(progress->remaining);
  printf(" left  pixel %.4f", l->pixel);
  if (l->perceptual > 0)
    printf("  lpips %.4f", l->perceptual);
  if (l->detail > 0)
    printf("  detail %.4f", l->detail);
  printf("  codebook %.4f", l->codebook);
  if (l->coverage > 0)
    printf("  coverage %.4f", l->coverage);
  if (l->anchor > 0)
    printf("  anchors %.4f", l->anchor);
  if (l->discriminator > 0 || l->generator != 0) /* it may judge without a fault */
    printf("  G %.3f  D %.3f  gap %.2f  weight %.3g", l->generator, l->discriminator, l->logit_gap,
           l->adaptive_weight);
  show_health(progress->codebooks, progress->name, progress->health);
  if (progress->waited > 0.01)
    printf("  waited %.0f%% for data", 100 * progress->waited);
  if (progress->bad_pictures)
    printf("  %llu bad pictures", (unsigned long long)progress->bad_pictures);
  printf("\n");
  fflush(stdout);
}

static void show_validation(void *context, uint64_t step, const struct vqct_evaluation *result) {
  const struct telling *telling = context;
  train_metrics_validation(telling->metrics, result);
  printf("validation after step %llu: %llu pictures  PSNR %.2f dB  SSIM %.3f",
         (unsigned long long)step, (unsigned long long)result->pictures, result->psnr,
         result->ssim);
  if (!isnan(result->lpips))
    printf("  LPIPS %.4f", result->lpips);
  show_health(result->codebooks, result->name, result->health);
  printf("\n");
  fflush(stdout);
}

/* ---- running --------------------------------------------------------------------------------- */

/* RUN/name, from the arena; NULL where memory is exhausted. */
static char *run_path(const char *folder, const char *name, struct arena *arena) {
  size_t size = strlen(folder) + strlen(name) + 2;
  char *path = arena_alloc(arena, size);
  if (path)
    snprintf(path, size, "%s/%s", folder, name);
  return path;
}

/* Keeps the options in the folder once they have proved good: --resume reads them again. */
static enum vqct_status save_options(void *context, struct vqct_error *error) {
  const struct telling *telling = context;
  char *path = run_path(telling->options->training.folder, "config.json", telling->arena);
  if (!path)
    return error_set(error, VQCT_MEMORY, "no memory for a path");
  atomic_file_sweep(path);
  return train_settings_save(telling->options, path, error);
}

static enum vqct_status train(const void *values, const struct options_found *found,
                              struct arena *arena, struct vqct_error *error) {
  (void)found;
  struct train_options given = *(const struct train_options *)values, *options = &given;
  struct telling telling = {.options = options, .arena = arena};
  struct vqct_train_hooks hooks = {
      .begin = save_options,
      .progress = show_progress,
      .validated = show_validation,
      .message = show_message,
      .stopping = stopping,
      .context = &telling,
  };
  enum vqct_status status = train_settings_finish(options, error);
  if (status != VQCT_OK)
    return status;
  const struct reduction *reduction;
  if ((status = distributed_start(&reduction, error)) != VQCT_OK)
    return status;
  bool leads = !reduction || reduction->rank == 0;
  uint16_t port = leads ? (uint16_t)options->metrics_port : 0;
  signals_catch();
  if (!port || !(status = train_metrics_start(port, &telling.metrics, error)))
    status = train_together(&options->training, &hooks, reduction, error);
  if (reduction && status != VQCT_OK && status != VQCT_INTERRUPTED)
    fprintf(stderr, "vqct train: rank %d: %s\n", reduction->rank, error->message);
  train_metrics_stop(telling.metrics);
  distributed_end(reduction, status);
  if (status == VQCT_INTERRUPTED) {
    printf("%s\n", error->message);
    return VQCT_OK;
  }
  return status;
}

static bool names_config(int argc, char **argv) {
  for (int i = 0; i < argc; i++)
    if (!strncmp(argv[i], "--config", strlen("--config")))
      return true;
  return false;
}

/* A run that goes on reads the options that it was begun with, unless --config names others: where
 * that is so, puts them before the words given, in `words`, which has room for two more. */
static enum vqct_status with_config(int *argc, char ***argv, char **words, struct arena *arena,
                                    struct vqct_error *error) {
  struct train_options options = {0};
  struct options_found found;
  enum vqct_status status =
      options_read(&train_table, *argc, *argv, &options, &found, arena, error);
  if (status != VQCT_OK || found.help || !options.training.resume || !options.training.folder ||
      names_config(*argc, *argv))
    return status;
  words[0] = "--config";
  words[1] = run_path(options.training.folder, "config.json", arena);
  memcpy(words + 2, *argv, (size_t)*argc * sizeof *words);
  *argv = words;
  *argc += 2;
  return words[1] ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory for a path");
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct train_options options = {0};
  struct arena arena;
  arena_init(&arena, 0);
  char **words = arena_alloc(&arena, ((size_t)argc + 2) * sizeof *words);
  enum vqct_status status = words ? with_config(&argc, &argv, words, &arena, error)
                                  : error_set(error, VQCT_MEMORY, "no memory for the options");
  if (status == VQCT_OK)
    status = command_run(&train_table, argc, argv, &options, train, error);
  arena_free(&arena);
  return status;
}

const struct command train_command = {"train", "train a model from photographs and a prior", run};
