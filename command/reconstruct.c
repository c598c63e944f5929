/* `vqct reconstruct`: pictures through tokens and back, side by side, with PSNR and SSIM. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "error.h"
#include "output_folder.h"
#include "pass.h"
#include "progress.h"
#include "signals.h"
#include "utf8.h"

struct settings {
  const char *output;
  struct preparation preparation;
  int64_t threads;
};

static const struct option options[] = {
    {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "DIR",
     "where pictures go as PNG: the original left, the reconstruction right"},
    PREPARATION_OPTIONS(struct settings, preparation),
    {"threads", 't', OPTION_INTEGER, offsetof(struct settings, threads), "0", 0, 1024, NULL, "N",
     "threads that compute; 0: one for each processor"},
};

static const struct option_table table = {
    .command = "reconstruct",
    .operands = "MODEL IMAGE...",
    .summary = "Encodes and decodes pictures, writes both side by side, and prints PSNR and SSIM.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 2,
    .operands_max = -1,
};

/* All that one pass over the pictures holds. */
struct reconstruction {
  struct settings settings;
  struct pass pass;
  struct output_folder folder;
  size_t good, bad, similar;   /* similar: pictures large enough for SSIM */
  double decibels, similarity; /* sums; decibels over pictures that differ */
  size_t differing;
};

static enum vqct_status compute(const struct pass *pass, const struct vqct_image *picture,
                                struct vqct_image *result, struct vqct_error *error) {
  uint32_t factor = pass->info->downsampling;
  size_t positions = (size_t)(picture->height / factor) * (picture->width / factor);
  uint32_t *tokens = malloc(pass->info->planes * positions * sizeof *tokens);
  *result = *picture;
  result->pixels = malloc((size_t)picture->width * picture->height * picture->channels);
  enum vqct_status status = tokens && result->pixels
                                ? pass_there_and_back(pass, picture, tokens, result->pixels, error)
                                : error_set(error, VQCT_MEMORY, "no memory for a picture");
  free(tokens);
  return status;
}

/* Both pictures in one, left and right. */
static enum vqct_status join(const struct vqct_image *left, const struct vqct_image *right,
                             struct vqct_image *both, struct vqct_error *error) {
  size_t row = (size_t)left->width * left->channels;
  *both = *left;
  both->width = 2 * left->width;
  both->pixels = malloc(2 * row * left->height);
  if (!both->pixels)
    return error_set(error, VQCT_MEMORY, "no memory for a picture");
  for (uint32_t y = 0; y < left->height; y++) {
    memcpy(both->pixels + 2 * row * y, left->pixels + row * y, row);
    memcpy(both->pixels + 2 * row * y + row, right->pixels + row * y, row);
  }
  return VQCT_OK;
}

static void measure(struct reconstruction *reconstruction, size_t index,
                    const struct vqct_image *original, const struct vqct_image *result) {
  double decibels = 0, similarity = 0;
  vqct_image_psnr(original, result, &decibels, NULL);
  char *name = utf8_escape(pictures_name(reconstruction->pass.pictures, index), true);
  bool similar = vqct_image_ssim(original, result, &similarity, NULL) == VQCT_OK;
  if (isfinite(decibels)) {
    reconstruction->decibels += decibels;
    reconstruction->differing++;
  }
  if (similar) {
    reconstruction->similarity += similarity;
    reconstruction->similar++;
    printf("%8.3f  %8.4f  %s\n", decibels, similarity, name ? name : "?");
  } else {
    printf("%8.3f  %8s  %s\n", decibels, "-", name ? name : "?");
  }
  free(name);
}

static enum vqct_status reconstruct_one(struct reconstruction *reconstruction,
                                        const struct feed_item *item, struct vqct_error *error) {
  struct vqct_image result = {0}, both = {0};
  char name[OUTPUT_NAME_SIZE];
  enum vqct_status status;
  output_folder_name(item->index, pictures_name(reconstruction->pass.pictures, item->index), name);
  if ((status = compute(&reconstruction->pass, &item->image, &result, error)) ||
      (status = join(&item->image, &result, &both, error)) ||
      (status = output_folder_write(&reconstruction->folder, name, &both,
                                    (struct output_form){.format = VQCT_IMAGE_PNG}, error)))
    goto done;
  measure(reconstruction, item->index, &item->image, &result);
  reconstruction->good++;
done:
  vqct_image_free(&result);
  vqct_image_free(&both);
  return status;
}

/* Takes the item. One that is too large for the session fails alone, as a damaged one does. */
static enum vqct_status take_item(struct reconstruction *reconstruction, struct feed_item *item,
                                  struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  if (item->error.status == VQCT_OK)
    status = reconstruct_one(reconstruction, item, error);
  if (status == VQCT_LIMIT) {
    error_prefix(error, "%s", pictures_name(reconstruction->pass.pictures, item->index));
    item->error = *error;
    status = VQCT_OK;
  }
  if (item->error.status != VQCT_OK) {
    fprintf(stderr, "vqct reconstruct: %s\n", item->error.message);
    reconstruction->bad++;
  }
  vqct_image_free(&item->image);
  return status;
}

static void print_means(const struct reconstruction *reconstruction) {
  if (!reconstruction->good)
    return;
  printf("%8.3f  %8.4f  mean of %zu\n",
         reconstruction->differing ? reconstruction->decibels / (double)reconstruction->differing
                                   : 0,
         reconstruction->similar ? reconstruction->similarity / (double)reconstruction->similar : 0,
         reconstruction->good);
}

static enum vqct_status reconstruct_all(struct reconstruction *reconstruction,
                                        struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  struct feed_item item;
  struct progress progress;
  size_t pictures = pictures_count(reconstruction->pass.pictures);
  printf("%8s  %8s  %s\n", "PSNR/dB", "SSIM", "picture");
  progress_start(&progress, "reconstruct", pictures, 0);
  while (status == VQCT_OK && !signals_stop() && feed_next(reconstruction->pass.feed, &item)) {
    progress_clear(&progress);
    status = take_item(reconstruction, &item, error);
    progress_set(&progress, reconstruction->good + reconstruction->bad);
  }
  progress_clear(&progress);
  print_means(reconstruction);
  if (signals_ended(status))
    return error_set(error, VQCT_INTERRUPTED, "stopped after %zu of %zu pictures",
                     reconstruction->good + reconstruction->bad, pictures);
  if (status == VQCT_OK && reconstruction->bad)
    return error_set(error, VQCT_PARTIAL, "%zu of %zu pictures failed", reconstruction->bad,
                     pictures);
  return status;
}

static enum vqct_status run_to_end(struct reconstruction *reconstruction,
                                   const struct options_found *found, struct vqct_error *error) {
  static const struct feed_settings all = {.step = 1, .threads = 1, .ahead = 2};
  const struct settings *settings = &reconstruction->settings;
  struct pass *pass = &reconstruction->pass;
  enum vqct_status status;
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "--output DIR is missing");
  if ((status = pass_open(pass, found->operands, found->operand_count, (unsigned)settings->threads,
                          error)) ||
      (status = output_folder_open(settings->output, &reconstruction->folder, error)) ||
      (status = pass_read(pass, &all, error)))
    return status;
  return reconstruct_all(reconstruction, error);
}

static enum vqct_status reconstruct(const void *values, const struct options_found *found,
                                    struct arena *arena, struct vqct_error *error) {
  struct reconstruction reconstruction = {.settings = *(const struct settings *)values};
  (void)arena;
  reconstruction.pass.preparation = reconstruction.settings.preparation;
  signals_catch();
  enum vqct_status status = run_to_end(&reconstruction, found, error);
  pass_close(&reconstruction.pass);
  output_folder_close(&reconstruction.folder);
  return status;
}

static enum vqct_status run_reconstruct(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, reconstruct, error);
}

const struct command reconstruct_command = {
    "reconstruct", "pictures through tokens and back, with PSNR and SSIM", run_reconstruct};
