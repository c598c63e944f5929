/* Validation: the averaged weights are loaded, reconstruct the pictures that are held out, and what
 * comes of it is published (model, sheet of pictures, line of the metrics, curves); then the
 * weights of training are packed again. Bad pictures are said and left out. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "fit.h"
#include "model_file.h"
#include "run_inner.h"
#include "sheet.h"

#define SHEET_PICTURES 8

/* A validation in progress. */
struct validation {
  struct run *run;
  int side;
  size_t positions;
  struct evaluation sums;
  uint64_t *chosen; /* N: by validation and by pictures of training */
  float *x, *y;     /* one picture each */
  uint32_t *tokens;
  struct vqct_image sheet[2 * SHEET_PICTURES]; /* originals, then what became of them */
  size_t shown;
};

/* A picture of a set as validation sees it: a square in the model's channels. */
static enum vqct_status decode(const struct validation *v, const struct pictures *set,
                               size_t picture, struct vqct_image *image, struct vqct_error *error) {
  const uint32_t side = (uint32_t)v->side;
  const struct fit fit = {.resize = VQCT_RESIZE_COVER,
                          .width = side,
                          .height = side,
                          .factor = 1,
                          .channels = (uint32_t)v->run->config.image_channels};
  return pictures_decode(set, picture, &fit, image, error);
}

/* Its numbers as the network reads them, to v->x. */
static void to_floats(const struct validation *v, const struct vqct_image *image) {
  fit_floats(image->pixels, (size_t)image->width * image->height * image->channels, v->x);
}

static size_t validation_count(const struct run *run) {
  size_t all = run->validation ? pictures_count(run->validation) : (size_t)run->settings->held_out;
  size_t most = (size_t)run->settings->validation_pictures;
  return all < most ? all : most;
}

/* What the network made of `original`, from v->y; grey becomes three equal channels, as pictures
 * are compared. A number that is not finite shows as one that is out of range. */
static enum vqct_status make_picture(const struct validation *v, struct vqct_image *original,
                                     struct vqct_image *made) {
  size_t numbers = (size_t)original->width * original->height * original->channels;
  *made = *original;
  made->pixels = malloc(numbers);
  if (!made->pixels)
    return error_set(v->run->error, VQCT_MEMORY, "no memory to validate");
  fit_bytes(v->y, numbers, made->pixels);
  enum vqct_status status = fit_channels(made, 3, v->run->error);
  return status == VQCT_OK ? fit_channels(original, 3, v->run->error) : status;
}

/* Reconstructs one picture, measures it, and keeps the first ones for the sheet. */
static enum vqct_status measure(struct validation *v, struct vqct_image *original) {
  struct run *run = v->run;
  struct vqct_image made = {0};
  to_floats(v, original);
  enum vqct_status status =
      trainer_reconstruct(run->trainer, v->x, 1, v->side, v->side, v->y, v->tokens, run->error);
  if (status != VQCT_OK)
    return status;
  status = make_picture(v, original, &made);
  if (status != VQCT_OK)
    goto done;
  evaluation_count(&v->sums, v->tokens, run->trainer->quantizer.planes, v->positions);
  status = evaluation_add(&v->sums, original, &made, run->perceptual, &run->trainer->stoppable,
                          run->error);
  if (exec_stopped(&run->trainer->stoppable))
    status = error_set(run->error, VQCT_INTERRUPTED, "stopped within a validation");
  if (status != VQCT_OK || v->shown == SHEET_PICTURES)
    goto done;
  v->sheet[v->shown] = *original;
  v->sheet[SHEET_PICTURES + v->shown++] = made;
  original->pixels = made.pixels = NULL;
done:
  vqct_image_free(&made);
  return status;
}

/* Says how many pictures of validation were good, unless all were. */
static void say_good(const struct validation *v) {
  char text[160];
  size_t all = validation_count(v->run), good = (size_t)v->sums.pictures;
  if (good == all)
    return;
  snprintf(text, sizeof text, "step %" PRIu64 ": %zu of %zu pictures of validation are good%s",
           v->run->trainer->step, good, all,
           good ? "" : ", so it says nothing and there is no best checkpoint");
  run_say(v->run, text);
}

/* Of the validation set, which may have fewer good pictures than it lists. */
static enum vqct_status measure_all(struct validation *v) {
  struct run *run = v->run;
  const struct pictures *set = run->validation ? run->validation : run->pictures;
  for (size_t i = 0; i < validation_count(run); i++) {
    struct vqct_image original = {0};
    struct vqct_error fault;
    size_t picture = run->validation ? i : loader_held_out(run->loader, i);
    if (decode(v, set, picture, &original, &fault) != VQCT_OK) {
      if (run->hooks->message)
        run->hooks->message(run->hooks->context, fault.message);
      continue;
    }
    enum vqct_status status = measure(v, &original);
    vqct_image_free(&original);
    if (status != VQCT_OK)
      return status;
  }
  say_good(v);
  return VQCT_OK;
}

/* Counts for the model, which live traffic is compared with: what these weights choose in the
 * pictures of validation and in as many of training. (The counts of training itself are of weights
 * that have moved since, and of crops.) */
static enum vqct_status count_chosen(struct validation *v) {
  struct run *run = v->run;
  size_t codes = run->trainer->codes, all = loader_training_count(run->loader);
  size_t most = (size_t)run->settings->validation_pictures;
  struct evaluation sums = {.counts = v->chosen};
  for (size_t i = 0; i < codes; i++)
    v->chosen[i] = v->sums.counts[i];
  for (size_t i = 0; i < all && i < most; i++) {
    struct vqct_image image = {0};
    struct vqct_error fault; /* the loader names bad pictures */
    if (decode(v, run->pictures, loader_training(run->loader, i), &image, &fault) != VQCT_OK)
      continue;
    to_floats(v, &image);
    vqct_image_free(&image);
    enum vqct_status status =
        trainer_reconstruct(run->trainer, v->x, 1, v->side, v->side, NULL, v->tokens, run->error);
    if (status != VQCT_OK)
      return status;
    evaluation_count(&sums, v->tokens, run->trainer->quantizer.planes, v->positions);
  }
  return VQCT_OK;
}

static enum vqct_status save_sheet(struct validation *v, const char *path) {
  size_t shown = v->shown;
  memmove(v->sheet + shown, v->sheet + SHEET_PICTURES, shown * sizeof *v->sheet);
  if (shown < SHEET_PICTURES) /* what moved is freed where it is now */
    memset(v->sheet + 2 * shown, 0, 2 * (SHEET_PICTURES - shown) * sizeof *v->sheet);
  return shown ? sheet_save(path, v->sheet, 2 * shown, shown, v->run->error) : VQCT_OK;
}

static enum vqct_status save_model(const struct validation *v, const char *path) {
  const struct run *run = v->run;
  const struct model_content content = {
      .config = &run->config,
      .weights = trainer_weights(run->trainer, true),
      .codebook = run->trainer->codebook,
      .words = run->settings->prior ? run->codes.word : run->words,
      .training_counts = v->chosen,
  };
  return model_file_save(path, &content, TENSOR_F16, run->error);
}

/* Files of a validation that has been measured. */
static enum vqct_status publish(struct validation *v, bool *better) {
  struct run *run = v->run;
  const struct model_config *config = &run->config;
  struct vqct_evaluation result;
  evaluation_result(&v->sums, config->adjectives, config->nouns, &result);
  if (!run->perceptual)
    result.lpips = NAN;
  double score = run->perceptual ? result.lpips : -result.psnr;
  *better = v->sums.pictures && score < run->best;
  run->best = *better ? score : run->best;
  enum vqct_status status = save_model(v, run->path[RUN_MODEL]);
  if (status != VQCT_OK)
    return status;
  if (v->sums.pictures) {
    if (run->hooks->validated)
      run->hooks->validated(run->hooks->context, run->trainer->step, &result);
    status = metrics_log_add_validation(run->metrics, run->trainer->step, &result, run->error);
    if (status != VQCT_OK)
      return status;
  }
  status = save_sheet(v, run->path[RUN_SHEET]);
  if (status != VQCT_OK)
    return status;
  return curves_draw(run->path[RUN_METRICS], run->path[RUN_CURVES], run->error);
}

static enum vqct_status allocate(struct validation *v) {
  struct trainer *t = v->run->trainer;
  size_t numbers = (size_t)v->side * (size_t)v->side * (size_t)t->config.image_channels;
  size_t grid = (size_t)(v->side / model_config_downsampling(&t->config));
  v->positions = grid * grid;
  v->x = arena_alloc(&t->arena, numbers * sizeof *v->x);
  v->y = arena_alloc(&t->arena, numbers * sizeof *v->y);
  v->tokens = arena_alloc(&t->arena, t->quantizer.planes * v->positions * sizeof *v->tokens);
  v->sums.counts = arena_calloc(&t->arena, t->codes, sizeof *v->sums.counts);
  v->chosen = arena_calloc(&t->arena, t->codes, sizeof *v->chosen);
  if (!v->x || !v->y || !v->tokens || !v->sums.counts || !v->chosen)
    return error_set(v->run->error, VQCT_MEMORY, "no memory to validate");
  return VQCT_OK;
}

static enum vqct_status validate(struct validation *v, bool *better) {
  struct run *run = v->run;
  enum vqct_status status = allocate(v);
  if (status != VQCT_OK)
    return status;
  status = trainer_load(run->trainer, true, run->error);
  if (status != VQCT_OK)
    return status;
  status = measure_all(v);
  if (status != VQCT_OK)
    return status;
  status = count_chosen(v);
  if (status != VQCT_OK)
    return status;
  status = publish(v, better);
  if (status != VQCT_OK)
    return status;
  return trainer_pack(run->trainer, run->error);
}

enum vqct_status run_validate(struct run *run, bool *better) {
  struct validation v = {.run = run, .side = run->settings->validation_size};
  struct arena_mark mark = arena_mark(&run->trainer->arena);
  enum vqct_status status = validate(&v, better);
  for (size_t i = 0; i < sizeof v.sheet / sizeof *v.sheet; i++)
    vqct_image_free(&v.sheet[i]);
  arena_release(&run->trainer->arena, mark);
  return status;
}
