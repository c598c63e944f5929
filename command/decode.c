/* `vqct decode`: a file of tokens to pictures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "cpu.h"
#include "error.h"
#include "output_folder.h"
#include "progress.h"
#include "signals.h"
#include "token_file.h"
#include "token_formats.h"

struct settings {
  const char *output;
  int64_t batch, threads, jpeg, webp;
  bool lossless, force;
};

static const struct option options[] = {
    {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "DIR",
     "where pictures go, in the order of the tokens: 0000-photo.png of photo.jpg, or 0000.png "
     "where no .jsonl tells their names"},
    {"jpeg", 'j', OPTION_INTEGER, offsetof(struct settings, jpeg), "0", 0, 100, NULL, "QUALITY",
     "write JPEG of this quality, 1 to 100, instead of PNG"},
    {"webp", 'w', OPTION_INTEGER, offsetof(struct settings, webp), "0", 0, 100, NULL, "QUALITY",
     "write WebP of this quality, 1 to 100, instead of PNG"},
    {"lossless", 0, OPTION_SWITCH, offsetof(struct settings, lossless), NULL, 0, 0, NULL, NULL,
     "write lossless WebP instead of PNG"},
    {"batch", 'b', OPTION_INTEGER, offsetof(struct settings, batch), "0", 0, 4096, NULL, "N",
     "pictures decoded together; 0: as many as there are threads"},
    {"threads", 't', OPTION_INTEGER, offsetof(struct settings, threads), "0", 0, 1024, NULL, "N",
     "threads that compute; 0: one for each processor"},
    {"force", 'f', OPTION_SWITCH, offsetof(struct settings, force), NULL, 0, 0, NULL, NULL,
     "decode tokens whose .jsonl names another model, too"},
};

static const struct option_table table = {
    .command = "decode",
    .operands = "MODEL TOKENS",
    .summary =
        "Turns tokens back into pictures. TOKENS is an .npy of pictures, planes, rows and "
        "columns, or what `vqct encode` wrote with its .jsonl beside it: " TOKEN_SUFFIXES ".",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 2,
    .operands_max = 2,
};

/* All that one decoding holds. */
struct decoding {
  const struct settings *settings;
  struct vqct_model *model;
  struct vqct_session *session;
  struct token_file *file;
  struct output_folder folder;
  struct output_form form;
  size_t batch;
  uint32_t **tokens; /* batch of them */
  uint8_t **pixels;
};

static enum vqct_status choose_form(struct decoding *decoding, struct vqct_error *error) {
  const struct settings *settings = decoding->settings;
  if ((settings->jpeg != 0) + (settings->webp != 0) + settings->lossless > 1)
    return error_set(error, VQCT_INVALID, "--jpeg, --webp and --lossless exclude one another");
  decoding->form.format = settings->jpeg                         ? VQCT_IMAGE_JPEG
                          : settings->webp || settings->lossless ? VQCT_IMAGE_WEBP
                                                                 : VQCT_IMAGE_PNG;
  decoding->form.quality = (int)(settings->jpeg + settings->webp);
  return VQCT_OK;
}

/* Pictures from `first` on that have one size, at most a batch. */
static size_t same_size(const struct decoding *decoding, size_t first) {
  uint32_t height, width, h, w;
  size_t count = 1, all = token_file_count(decoding->file);
  token_file_grid(decoding->file, first, &height, &width);
  for (; count < decoding->batch && first + count < all; count++) {
    token_file_grid(decoding->file, first + count, &h, &w);
    if (h != height || w != width)
      break;
  }
  return count;
}

static enum vqct_status reserve(struct decoding *decoding, size_t count, size_t tokens,
                                size_t bytes, struct vqct_error *error) {
  for (size_t i = 0; i < count; i++) {
    free(decoding->tokens[i]);
    free(decoding->pixels[i]);
    decoding->tokens[i] = malloc(tokens * sizeof *decoding->tokens[i]);
    decoding->pixels[i] = malloc(bytes);
    if (!decoding->tokens[i] || !decoding->pixels[i])
      return error_set(error, VQCT_MEMORY, "no memory for %zu pictures", count);
  }
  return VQCT_OK;
}

static enum vqct_status write_pictures(const struct decoding *decoding, size_t first, size_t count,
                                       uint32_t height, uint32_t width, struct vqct_error *error) {
  for (size_t i = 0; i < count; i++) {
    const struct vqct_image image = {.pixels = decoding->pixels[i],
                                     .height = height,
                                     .width = width,
                                     .channels = vqct_model_info(decoding->model)->channels};
    char name[OUTPUT_NAME_SIZE];
    output_folder_name(first + i, token_file_name(decoding->file, first + i), name);
    enum vqct_status status =
        output_folder_write(&decoding->folder, name, &image, decoding->form, error);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static enum vqct_status decode_group(struct decoding *decoding, size_t first, size_t count,
                                     struct vqct_error *error) {
  const struct vqct_model_info *info = vqct_model_info(decoding->model);
  uint32_t height, width;
  token_file_grid(decoding->file, first, &height, &width);
  size_t positions = (size_t)height * width, factor = info->downsampling;
  enum vqct_status status = reserve(decoding, count, positions * info->planes,
                                    positions * factor * factor * info->channels, error);
  if (status != VQCT_OK)
    return status;
  for (size_t i = 0; i < count; i++)
    if ((status = token_file_read(decoding->file, first + i, decoding->tokens[i], error)))
      return status;
  status = vqct_decode(decoding->session, (const uint32_t *const *)decoding->tokens, count, height,
                       width, decoding->pixels, error);
  if (status != VQCT_OK)
    return status;
  return write_pictures(decoding, first, count, height * info->downsampling,
                        width * info->downsampling, error);
}

static enum vqct_status decode_all(struct decoding *decoding, struct vqct_error *error) {
  size_t all = token_file_count(decoding->file), done = 0;
  struct progress progress;
  enum vqct_status status = VQCT_OK;
  progress_start(&progress, "decode", all, 0);
  while (done < all && status == VQCT_OK && !signals_stop()) {
    size_t count = same_size(decoding, done);
    status = decode_group(decoding, done, count, error);
    done += status == VQCT_OK ? count : 0;
    progress_set(&progress, done);
  }
  progress_clear(&progress);
  if (status == VQCT_INTERRUPTED || (status == VQCT_OK && done < all))
    return error_set(error, VQCT_INTERRUPTED, "stopped after %zu of %zu pictures", done, all);
  return status;
}

static enum vqct_status reserve_batch(struct decoding *decoding, size_t batch,
                                      struct vqct_error *error) {
  decoding->batch = batch;
  decoding->tokens = calloc(batch, sizeof *decoding->tokens);
  decoding->pixels = calloc(batch, sizeof *decoding->pixels);
  if (!decoding->tokens || !decoding->pixels)
    return error_set(error, VQCT_MEMORY, "no memory for %zu pictures", batch);
  return VQCT_OK;
}

static enum vqct_status run_to_end(struct decoding *decoding, char **operands,
                                   struct vqct_error *error) {
  const struct settings *settings = decoding->settings;
  unsigned threads = cpu_threads(settings->threads);
  size_t batch = settings->batch ? (size_t)settings->batch : threads;
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "--output DIR is missing");
  if (strcmp(operands[1], "-") == 0)
    return error_set(error, VQCT_INVALID, "-: tokens are read from a file, not standard input");
  enum vqct_status status;
  if ((status = choose_form(decoding, error)) ||
      (status = vqct_model_open(operands[0], &decoding->model, error)))
    return status;
  const struct vqct_model_info *info = vqct_model_info(decoding->model);
  if (info->channels == 2)
    return error_set(error, VQCT_INVALID,
                     "the model gives two channels, pictures have one or three");
  if ((status = token_file_open(operands[1], info, settings->force, &decoding->file, error)) ||
      (status = vqct_session_new(decoding->model, threads, &decoding->session, error)) ||
      (status = reserve_batch(decoding, batch, error)) ||
      (status = output_folder_open(settings->output, &decoding->folder, error)))
    return status;
  vqct_session_stop_when(decoding->session, signals_stopping.asked, NULL);
  return decode_all(decoding, error);
}

static enum vqct_status decode(const void *values, const struct options_found *found,
                               struct arena *arena, struct vqct_error *error) {
  struct decoding decoding = {.settings = values};
  (void)arena;
  signals_catch();
  enum vqct_status status = run_to_end(&decoding, found->operands, error);
  output_folder_close(&decoding.folder);
  for (size_t i = 0; i < decoding.batch; i++) {
    free(decoding.tokens ? decoding.tokens[i] : NULL);
    free(decoding.pixels ? decoding.pixels[i] : NULL);
  }
  free(decoding.tokens);
  free(decoding.pixels);
  vqct_session_free(decoding.session);
  token_file_close(decoding.file);
  vqct_model_close(decoding.model);
  return status;
}

static enum vqct_status run_decode(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, decode, error);
}

const struct command decode_command = {"decode", "tokens to pictures", run_decode};
