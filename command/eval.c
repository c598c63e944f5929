/* `vqct eval`: how good a model's reconstructions are and how well its codebooks are used. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic_file.h"
#include "collect.h"
#include "command.h"
#include "cpu.h"
#include "error.h"
#include "evaluation.h"
#include "feed.h"
#include "fit.h"
#include "progress.h"
#include "sheet.h"
#include "signals.h"

struct settings {
  struct preparation preparation;
  const char *perceptual, *features, *json, *sheet;
  int64_t limit, threads, columns;
};

static const struct option options[] = {
    PREPARATION_OPTIONS(struct settings, preparation),
    {"perceptual", 0, OPTION_TEXT, offsetof(struct settings, perceptual), NULL, 0, 0, NULL, "FILE",
     "weights of LPIPS (VGG16 or SqueezeNet 1.1); without them it is left out"},
    {"features", 0, OPTION_TEXT, offsetof(struct settings, features), NULL, 0, 0, NULL, "FILE",
     "weights of a network (Inception v3, SqueezeNet 1.1 or VGG16) for a Frechet distance between "
     "originals and reconstructions; without them it is left out"},
    {"limit", 'n', OPTION_INTEGER, offsetof(struct settings, limit), "0", 0, 0x1p40, NULL, "N",
     "pictures to use, the first ones by name; 0: all"},
    {"json", 'j', OPTION_TEXT, offsetof(struct settings, json), NULL, 0, 0, NULL, "FILE",
     "where the result goes as JSON"},
    {"sheet", 0, OPTION_TEXT, offsetof(struct settings, sheet), NULL, 0, 0, NULL, "FILE",
     "where pictures, each left of its reconstruction, go as one PNG"},
    {"columns", 0, OPTION_INTEGER, offsetof(struct settings, columns), "3", 1, 64, NULL, "N",
     "pairs in a row of the sheet"},
    {"threads", 't', OPTION_INTEGER, offsetof(struct settings, threads), "0", 0, 1024, NULL, "N",
     "threads that compute; 0: one for each processor"},
};

static const struct option_table table = {
    .command = "eval",
    .operands = "MODEL DATA...",
    .summary = "Measures PSNR, SSIM, LPIPS, a Frechet distance and the codebooks' health over "
               "pictures.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 2,
    .operands_max = -1,
};

/* All that one evaluation holds. */
struct eval {
  struct settings settings;
  struct arena *arena;
  struct vqct_model *model;
  const struct vqct_model_info *info;
  struct vqct_session *session;
  struct pictures *pictures;
  struct feed *feed;
  struct perceptual *perceptual;
  struct features *features;
  struct feature_sums feature_sums;
  double frechet;
  struct pool *pool;
  struct evaluation sums;
  size_t bad, limit;
  int adjectives, nouns;    /* codes; no adjectives: a plain codebook */
  struct vqct_image *shown; /* for the sheet */
  size_t shown_count;
};

/* ---- measuring ------------------------------------------------------------------------------- */

/* A copy with three channels. */
static enum vqct_status copy_in_colour(const struct vqct_image *picture, struct vqct_image *copy,
                                       struct vqct_error *error) {
  enum vqct_status status = vqct_image_resize(picture, VQCT_RESIZE_NONE, 0, 0, copy, error);
  return status == VQCT_OK ? fit_channels(copy, 3, error) : status;
}

static enum vqct_status compare(struct eval *eval, const struct vqct_image *original,
                                const struct vqct_image *made, struct vqct_error *error) {
  struct vqct_image pair[2] = {{0}, {0}};
  struct exec exec = {.pool = eval->pool, .arena = eval->arena};
  enum vqct_status status = copy_in_colour(original, &pair[0], error);
  if (status == VQCT_OK)
    status = copy_in_colour(made, &pair[1], error);
  if (status == VQCT_OK)
    status = evaluation_add(&eval->sums, &pair[0], &pair[1], eval->perceptual, &exec, error);
  if (status == VQCT_OK && eval->shown) {
    memcpy(eval->shown + eval->shown_count, pair, sizeof pair);
    eval->shown_count += 2;
    return VQCT_OK;
  }
  vqct_image_free(&pair[0]);
  vqct_image_free(&pair[1]);
  return status;
}

static enum vqct_status measure(struct eval *eval, const struct vqct_image *picture,
                                struct vqct_error *error) {
  uint32_t height = picture->height / eval->info->downsampling;
  uint32_t width = picture->width / eval->info->downsampling;
  size_t positions = (size_t)height * width;
  struct arena_mark mark = arena_mark(eval->arena);
  uint32_t *tokens = arena_alloc(eval->arena, eval->info->planes * positions * sizeof *tokens);
  struct vqct_image made = *picture;
  made.pixels =
      arena_alloc(eval->arena, (size_t)picture->width * picture->height * picture->channels);
  const uint8_t *pixels = picture->pixels;
  enum vqct_status status = VQCT_OK;
  if (!tokens || !made.pixels)
    status = error_set(error, VQCT_MEMORY, "no memory for a picture");
  if (status == VQCT_OK)
    status =
        vqct_encode(eval->session, &pixels, 1, picture->height, picture->width, &tokens, error);
  const uint32_t *chosen = tokens;
  if (status == VQCT_OK)
    status = vqct_decode(eval->session, &chosen, 1, height, width, &made.pixels, error);
  if (status == VQCT_OK)
    status = compare(eval, picture, &made, error);
  if (status == VQCT_OK)
    evaluation_count(&eval->sums, tokens, eval->info->planes, positions);
  arena_release(eval->arena, mark);
  return status;
}

/* A picture that is too small for a measure, or too large, fails alone, as a damaged one does. */
static enum vqct_status measure_item(struct eval *eval, struct feed_item *item,
                                     struct vqct_error *error) {
  enum vqct_status status = measure(eval, &item->image, error);
  if (status != VQCT_INVALID && status != VQCT_LIMIT)
    return status;
  error_prefix(error, "%s", pictures_name(eval->pictures, item->index));
  item->error = *error;
  return VQCT_OK;
}

static enum vqct_status measure_all(struct eval *eval, struct vqct_error *error) {
  struct progress progress;
  struct feed_item item;
  size_t seen = 0;
  enum vqct_status status = VQCT_OK;
  progress_start(&progress, "eval", eval->limit, 0);
  while (status == VQCT_OK && !signals_stop() && seen < eval->limit &&
         feed_next(eval->feed, &item)) {
    if (item.error.status == VQCT_OK)
      status = measure_item(eval, &item, error);
    if (item.error.status != VQCT_OK) {
      progress_clear(&progress);
      fprintf(stderr, "vqct eval: %s\n", item.error.message);
      eval->bad++;
    }
    vqct_image_free(&item.image);
    seen += status != VQCT_INTERRUPTED;
    progress_set(&progress, seen);
  }
  progress_clear(&progress);
  if (status == VQCT_INTERRUPTED || (status == VQCT_OK && signals_stop()))
    status =
        error_set(error, VQCT_INTERRUPTED, "stopped after %zu of %zu pictures", seen, eval->limit);
  if (status == VQCT_OK && !eval->sums.pictures)
    status = error_set(error, VQCT_DATA, "none of %zu pictures can be used", eval->limit);
  return status;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* A covariance of no more pictures than features lacks rank, and the distance is far too large. */
static bool is_small(const struct eval *eval) {
  return eval->sums.pictures <= features_dimension(eval->features);
}

static void print_result(const struct eval *eval, const struct vqct_evaluation *result) {
  printf("%s: %llu pictures, %llu positions\n\n| PSNR, dB | SSIM |%s\n|---|---|%s\n"
         "| %.2f | %.4f |",
         eval->info->name, (unsigned long long)result->pictures,
         (unsigned long long)result->positions, eval->perceptual ? " LPIPS |" : "",
         eval->perceptual ? "---|" : "", result->psnr, result->ssim);
  if (eval->perceptual)
    printf(" %.4f (%s) |", result->lpips, perceptual_name(eval->perceptual));
  printf("\n");
  if (eval->features)
    printf("\n%s: %.4f%s\n", features_measure(eval->features), eval->frechet,
           is_small(eval) ? " (too few pictures to compare with any other set)" : "");
  printf("\n| codebook | codes | used | dead | usage | entropy, bits | perplexity |\n"
         "|---|---|---|---|---|---|---|\n");
  for (int i = 0; i < result->codebooks; i++) {
    const struct vqct_codebook_health *h = &result->health[i];
    printf("| %s | %llu | %llu | %llu | %.1f%% | %.2f | %.1f |\n", result->name[i],
           (unsigned long long)h->codes, (unsigned long long)h->used, (unsigned long long)h->dead,
           100 * h->usage, h->entropy, h->perplexity);
  }
}

static json_t *health_json(const char *name, const struct vqct_codebook_health *h) {
  return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "name", name, "codes",
                   (json_int_t)h->codes, "tokens", (json_int_t)h->tokens, "used",
                   (json_int_t)h->used, "dead", (json_int_t)h->dead, "usage", h->usage, "entropy",
                   h->entropy, "perplexity", h->perplexity);
}

static enum vqct_status save_json(const struct eval *eval, const struct vqct_evaluation *result,
                                  struct vqct_error *error) {
  json_t *books = json_array();
  for (int i = 0; i < result->codebooks; i++)
    json_array_append_new(books, health_json(result->name[i], &result->health[i]));
  json_t *object =
      json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:o}", "model", eval->info->name, "checksum",
                eval->info->checksum, "pictures", (json_int_t)result->pictures, "failed",
                (json_int_t)eval->bad, "positions", (json_int_t)result->positions, "ssim",
                result->ssim, "codebooks", books);
  if (isfinite(result->psnr)) /* JSON has no infinity */
    json_object_set_new(object, "psnr", json_real(result->psnr));
  if (eval->perceptual) {
    json_object_set_new(object, "lpips", json_real(result->lpips));
    json_object_set_new(object, "lpips_network", json_string(perceptual_name(eval->perceptual)));
  }
  if (eval->features)
    json_object_set_new(object, "frechet",
                        json_pack("{s:s, s:f, s:I, s:I}", "measure",
                                  features_measure(eval->features), "distance", eval->frechet,
                                  "features", (json_int_t)features_dimension(eval->features),
                                  "pictures", (json_int_t)result->pictures));
  char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
  json_decref(object);
  if (!text)
    return error_set(error, VQCT_MEMORY, "no memory for %s", eval->settings.json);
  enum vqct_status status = atomic_file_save(eval->settings.json, text, strlen(text), error);
  free(text);
  return status;
}

static enum vqct_status tell(struct eval *eval, struct vqct_error *error) {
  struct vqct_evaluation result;
  enum vqct_status status = VQCT_OK;
  if (eval->features)
    status = frechet_distance(&eval->feature_sums.original, &eval->feature_sums.made, eval->pool,
                              &eval->frechet, error);
  if (status != VQCT_OK)
    return error_prefix(error, "--features");
  evaluation_result(&eval->sums, eval->adjectives, eval->nouns, &result);
  print_result(eval, &result);
  if (eval->settings.json)
    status = save_json(eval, &result, error);
  if (status == VQCT_OK && eval->settings.sheet)
    status = sheet_save(eval->settings.sheet, eval->shown, eval->shown_count,
                        2 * (size_t)eval->settings.columns, error);
  if (status == VQCT_OK && eval->bad)
    status = error_set(error, VQCT_PARTIAL, "%zu of %zu pictures failed", eval->bad, eval->limit);
  return status;
}

/* ---- running --------------------------------------------------------------------------------- */

static enum vqct_status prepare_features(struct eval *eval, struct vqct_error *error) {
  enum vqct_status status = features_open(eval->settings.features, &eval->features, error);
  if (status != VQCT_OK)
    return status;
  size_t dimension = features_dimension(eval->features);
  eval->feature_sums.network = eval->features;
  eval->sums.features = &eval->feature_sums;
  status = moments_init(&eval->feature_sums.original, dimension, error);
  return status == VQCT_OK ? moments_init(&eval->feature_sums.made, dimension, error) : status;
}

static enum vqct_status prepare_measures(struct eval *eval, struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  if (eval->settings.perceptual)
    status = perceptual_open(eval->settings.perceptual, &eval->perceptual, error);
  if (status == VQCT_OK && eval->settings.features)
    status = prepare_features(eval, error);
  if (status == VQCT_OK)
    status = pool_new(eval->settings.threads ? (unsigned)eval->settings.threads : cpu_count(),
                      &eval->pool, error);
  for (uint32_t i = 0; i < eval->info->planes; i++) {
    const struct vqct_plane *plane = &eval->info->plane[i];
    bool adjectives = strncmp(plane->name, "adjective", strlen("adjective")) == 0;
    *(adjectives ? &eval->adjectives : &eval->nouns) = (int)plane->count;
  }
  eval->sums.counts = arena_calloc(eval->arena, eval->info->codes, sizeof *eval->sums.counts);
  if (eval->settings.sheet)
    eval->shown = arena_calloc(eval->arena, 2 * eval->limit, sizeof *eval->shown);
  if (status == VQCT_OK && (!eval->sums.counts || (eval->settings.sheet && !eval->shown)))
    status = error_set(error, VQCT_MEMORY, "no memory to measure %zu pictures", eval->limit);
  return status;
}

static enum vqct_status prepare(struct eval *eval, char **operands, int count,
                                struct vqct_error *error) {
  enum vqct_status status =
      pictures_open((const char *const *)operands + 1, (size_t)count - 1, PICTURES_BAD_LISTED,
                    &signals_stopping, &eval->pictures, error);
  if (status == VQCT_OK)
    status = vqct_model_open(operands[0], &eval->model, error);
  if (status != VQCT_OK)
    return status;
  eval->info = vqct_model_info(eval->model);
  eval->limit = pictures_count(eval->pictures);
  if (eval->settings.limit && (uint64_t)eval->settings.limit < eval->limit)
    eval->limit = (size_t)eval->settings.limit;
  status = preparation_check(&eval->settings.preparation, eval->info, error);
  if (status == VQCT_OK)
    status = prepare_measures(eval, error);
  if (status == VQCT_OK)
    status = vqct_session_new(eval->model, (unsigned)eval->settings.threads, &eval->session, error);
  if (status == VQCT_OK)
    vqct_session_stop_when(eval->session, signals_stopping.asked, NULL);
  struct feed_settings feed = {.pictures = eval->pictures,
                               .preparation = eval->settings.preparation,
                               .model = eval->info,
                               .step = 1,
                               .threads = 1,
                               .ahead = 2};
  if (status == VQCT_OK)
    status = feed_new(&feed, &eval->feed, error);
  return status;
}

static enum vqct_status eval(const void *values, const struct options_found *found,
                             struct arena *arena, struct vqct_error *error) {
  struct eval eval = {.settings = *(const struct settings *)values, .arena = arena};
  signals_catch();
  enum vqct_status status = prepare(&eval, found->operands, found->operand_count, error);
  if (status == VQCT_OK)
    status = measure_all(&eval, error);
  if (status == VQCT_OK)
    status = tell(&eval, error);
  for (size_t i = 0; i < eval.shown_count; i++)
    vqct_image_free(&eval.shown[i]);
  feed_free(eval.feed);
  vqct_session_free(eval.session);
  vqct_model_close(eval.model);
  pictures_close(eval.pictures);
  perceptual_free(eval.perceptual);
  features_free(eval.features);
  moments_free(&eval.feature_sums.original);
  moments_free(&eval.feature_sums.made);
  pool_free(eval.pool);
  return status;
}

static enum vqct_status run_eval(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, eval, error);
}

const struct command eval_command = {"eval", "measure reconstructions and codebooks", run_eval};
