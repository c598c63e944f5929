/* `vqct eval`: how good a model's reconstructions are and how well its codebooks are used. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic_file.h"
#include "command.h"
#include "cpu.h"
#include "error.h"
#include "evaluation.h"
#include "fit.h"
#include "pass.h"
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
  struct pass pass;
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
  enum vqct_status status;
  if ((status = copy_in_colour(original, &pair[0], error)) ||
      (status = copy_in_colour(made, &pair[1], error)) ||
      (status = evaluation_add(&eval->sums, &pair[0], &pair[1], eval->perceptual, &exec, error)))
    goto done;
  if (eval->shown) {
    memcpy(eval->shown + eval->shown_count, pair, sizeof pair);
    eval->shown_count += 2;
    return VQCT_OK;
  }
done:
  vqct_image_free(&pair[0]);
  vqct_image_free(&pair[1]);
  return status;
}

/* With memory of the arena that the caller gives back. */
static enum vqct_status measure(struct eval *eval, const struct vqct_image *picture,
                                struct vqct_error *error) {
  const struct vqct_model_info *info = eval->pass.info;
  size_t positions =
      (size_t)(picture->height / info->downsampling) * (picture->width / info->downsampling);
  uint32_t *tokens = arena_alloc(eval->arena, info->planes * positions * sizeof *tokens);
  struct vqct_image made = *picture;
  made.pixels =
      arena_alloc(eval->arena, (size_t)picture->width * picture->height * picture->channels);
  if (!tokens || !made.pixels)
    return error_set(error, VQCT_MEMORY, "no memory for a picture");
  enum vqct_status status;
  if ((status = pass_there_and_back(&eval->pass, picture, tokens, made.pixels, error)) ||
      (status = compare(eval, picture, &made, error)))
    return status;
  evaluation_count(&eval->sums, tokens, info->planes, positions);
  return VQCT_OK;
}

/* A picture that is too small for a measure, or too large, fails alone, as a damaged one does. */
static enum vqct_status measure_item(struct eval *eval, struct feed_item *item,
                                     struct vqct_error *error) {
  struct arena_mark mark = arena_mark(eval->arena);
  enum vqct_status status = measure(eval, &item->image, error);
  arena_release(eval->arena, mark);
  if (status != VQCT_INVALID && status != VQCT_LIMIT)
    return status;
  error_prefix(error, "%s", pictures_name(eval->pass.pictures, item->index));
  item->error = *error;
  return VQCT_OK;
}

/* Takes the item, and counts it in `seen` unless a signal stopped it. */
static enum vqct_status take_item(struct eval *eval, struct feed_item *item,
                                  struct progress *progress, size_t *seen,
                                  struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  if (item->error.status == VQCT_OK)
    status = measure_item(eval, item, error);
  if (item->error.status != VQCT_OK) {
    progress_clear(progress);
    fprintf(stderr, "vqct eval: %s\n", item->error.message);
    eval->bad++;
  }
  vqct_image_free(&item->image);
  *seen += status != VQCT_INTERRUPTED;
  progress_set(progress, *seen);
  return status;
}

static enum vqct_status measure_all(struct eval *eval, struct vqct_error *error) {
  struct progress progress;
  struct feed_item item;
  size_t seen = 0;
  enum vqct_status status = VQCT_OK;
  progress_start(&progress, "eval", eval->limit, 0);
  while (status == VQCT_OK && !signals_stop() && seen < eval->limit &&
         feed_next(eval->pass.feed, &item))
    status = take_item(eval, &item, &progress, &seen, error);
  progress_clear(&progress);
  if (signals_ended(status))
    return error_set(error, VQCT_INTERRUPTED, "stopped after %zu of %zu pictures", seen,
                     eval->limit);
  if (status == VQCT_OK && !eval->sums.pictures)
    return error_set(error, VQCT_DATA, "none of %zu pictures can be used", eval->limit);
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
         eval->pass.info->name, (unsigned long long)result->pictures,
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
      json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:o}", "model", eval->pass.info->name, "checksum",
                eval->pass.info->checksum, "pictures", (json_int_t)result->pictures, "failed",
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
  const struct settings *settings = &eval->settings;
  struct vqct_evaluation result;
  enum vqct_status status;
  if (eval->features &&
      (status = frechet_distance(&eval->feature_sums.original, &eval->feature_sums.made, eval->pool,
                                 &eval->frechet, error)))
    return error_prefix(error, "--features");
  evaluation_result(&eval->sums, eval->adjectives, eval->nouns, &result);
  print_result(eval, &result);
  if (settings->json && (status = save_json(eval, &result, error)))
    return status;
  if (settings->sheet && (status = sheet_save(settings->sheet, eval->shown, eval->shown_count,
                                              2 * (size_t)settings->columns, error)))
    return status;
  if (eval->bad)
    return error_set(error, VQCT_PARTIAL, "%zu of %zu pictures failed", eval->bad, eval->limit);
  return VQCT_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

static enum vqct_status prepare_features(struct eval *eval, struct vqct_error *error) {
  enum vqct_status status = features_open(eval->settings.features, &eval->features, error);
  if (status != VQCT_OK)
    return status;
  size_t dimension = features_dimension(eval->features);
  eval->feature_sums.network = eval->features;
  eval->sums.features = &eval->feature_sums;
  if ((status = moments_init(&eval->feature_sums.original, dimension, error)))
    return status;
  return moments_init(&eval->feature_sums.made, dimension, error);
}

static void count_codes(struct eval *eval) {
  for (uint32_t i = 0; i < eval->pass.info->planes; i++) {
    const struct vqct_plane *plane = &eval->pass.info->plane[i];
    bool adjectives = strncmp(plane->name, "adjective", strlen("adjective")) == 0;
    *(adjectives ? &eval->adjectives : &eval->nouns) = (int)plane->count;
  }
}

static enum vqct_status prepare_measures(struct eval *eval, struct vqct_error *error) {
  const struct settings *settings = &eval->settings;
  enum vqct_status status;
  if ((settings->perceptual &&
       (status = perceptual_open(settings->perceptual, &eval->perceptual, error))) ||
      (settings->features && (status = prepare_features(eval, error))) ||
      (status = pool_new(cpu_threads(settings->threads), &eval->pool, error)))
    return status;
  count_codes(eval);
  eval->sums.counts = arena_calloc(eval->arena, eval->pass.info->codes, sizeof *eval->sums.counts);
  if (settings->sheet)
    eval->shown = arena_calloc(eval->arena, 2 * eval->limit, sizeof *eval->shown);
  if (!eval->sums.counts || (settings->sheet && !eval->shown))
    return error_set(error, VQCT_MEMORY, "no memory to measure %zu pictures", eval->limit);
  return VQCT_OK;
}

static enum vqct_status run_to_end(struct eval *eval, const struct options_found *found,
                                   struct vqct_error *error) {
  static const struct feed_settings all = {.step = 1, .threads = 1, .ahead = 2};
  const struct settings *settings = &eval->settings;
  enum vqct_status status = pass_open(&eval->pass, found->operands, found->operand_count,
                                      (unsigned)settings->threads, error);
  if (status != VQCT_OK)
    return status;
  eval->limit = pictures_count(eval->pass.pictures);
  if (settings->limit && (uint64_t)settings->limit < eval->limit)
    eval->limit = (size_t)settings->limit;
  if ((status = prepare_measures(eval, error)) || (status = pass_read(&eval->pass, &all, error)) ||
      (status = measure_all(eval, error)))
    return status;
  return tell(eval, error);
}

static enum vqct_status eval(const void *values, const struct options_found *found,
                             struct arena *arena, struct vqct_error *error) {
  struct eval eval = {.settings = *(const struct settings *)values, .arena = arena};
  eval.pass.preparation = eval.settings.preparation;
  signals_catch();
  enum vqct_status status = run_to_end(&eval, found, error);
  for (size_t i = 0; i < eval.shown_count; i++)
    vqct_image_free(&eval.shown[i]);
  pass_close(&eval.pass);
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
