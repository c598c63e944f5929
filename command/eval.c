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
#include "feed.h"
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

/* All that one run holds. */
struct run {
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

/* A picture of the model's channels with three of them, in memory of its own. */
static enum vqct_status to_three_channels(const struct vqct_image *picture,
                                          struct vqct_image *three, struct vqct_error *error) {
  size_t pixels = (size_t)picture->width * picture->height;
  *three = *picture;
  three->channels = 3;
  if (!(three->pixels = malloc(3 * pixels)))
    return error_set(error, VQCT_MEMORY, "no memory for a picture");
  for (size_t i = 0; i < 3 * pixels; i++)
    three->pixels[i] = picture->pixels[picture->channels == 3 ? i : i / 3];
  return VQCT_OK;
}

static enum vqct_status compare(struct run *run, const struct vqct_image *original,
                                const struct vqct_image *made, struct vqct_error *error) {
  struct vqct_image pair[2] = {{0}, {0}};
  struct exec exec = {.pool = run->pool, .arena = run->arena};
  enum vqct_status status = to_three_channels(original, &pair[0], error);
  if (status == VQCT_OK)
    status = to_three_channels(made, &pair[1], error);
  if (status == VQCT_OK)
    status = evaluation_add(&run->sums, &pair[0], &pair[1], run->perceptual, &exec, error);
  if (status == VQCT_OK && run->shown) {
    memcpy(run->shown + run->shown_count, pair, sizeof pair);
    run->shown_count += 2;
    return VQCT_OK;
  }
  vqct_image_free(&pair[0]);
  vqct_image_free(&pair[1]);
  return status;
}

static enum vqct_status measure(struct run *run, const struct vqct_image *picture,
                                struct vqct_error *error) {
  uint32_t height = picture->height / run->info->downsampling;
  uint32_t width = picture->width / run->info->downsampling;
  size_t positions = (size_t)height * width;
  struct arena_mark mark = arena_mark(run->arena);
  uint32_t *tokens = arena_alloc(run->arena, run->info->planes * positions * sizeof *tokens);
  struct vqct_image made = *picture;
  made.pixels =
      arena_alloc(run->arena, (size_t)picture->width * picture->height * picture->channels);
  const uint8_t *pixels = picture->pixels;
  enum vqct_status status = VQCT_OK;
  if (!tokens || !made.pixels)
    status = error_set(error, VQCT_MEMORY, "no memory for a picture");
  if (status == VQCT_OK)
    status = vqct_encode(run->session, &pixels, 1, picture->height, picture->width, &tokens, error);
  const uint32_t *chosen = tokens;
  if (status == VQCT_OK)
    status = vqct_decode(run->session, &chosen, 1, height, width, &made.pixels, error);
  if (status == VQCT_OK)
    status = compare(run, picture, &made, error);
  if (status == VQCT_OK)
    evaluation_count(&run->sums, tokens, run->info->planes, positions);
  arena_release(run->arena, mark);
  return status;
}

/* A picture that is too small for a measure fails alone, as a damaged one does. */
static enum vqct_status measure_item(struct run *run, struct feed_item *item,
                                     struct vqct_error *error) {
  enum vqct_status status = measure(run, &item->image, error);
  if (status != VQCT_INVALID)
    return status;
  error_prefix(error, "%s", pictures_name(run->pictures, item->index));
  item->error = *error;
  return VQCT_OK;
}

static enum vqct_status measure_all(struct run *run, struct vqct_error *error) {
  struct progress progress;
  struct feed_item item;
  size_t seen = 0;
  enum vqct_status status = VQCT_OK;
  progress_start(&progress, "eval", run->limit, 0);
  while (status == VQCT_OK && !signals_stop() && seen < run->limit && feed_next(run->feed, &item)) {
    if (item.error.status == VQCT_OK)
      status = measure_item(run, &item, error);
    if (item.error.status != VQCT_OK) {
      progress_clear(&progress);
      fprintf(stderr, "vqct eval: %s\n", item.error.message);
      run->bad++;
    }
    vqct_image_free(&item.image);
    progress_set(&progress, ++seen);
  }
  progress_clear(&progress);
  if (status == VQCT_OK && signals_stop())
    status =
        error_set(error, VQCT_INTERRUPTED, "stopped after %zu of %zu pictures", seen, run->limit);
  if (status == VQCT_OK && !run->sums.pictures)
    status = error_set(error, VQCT_DATA, "none of %zu pictures can be used", run->limit);
  return status;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* A covariance of no more pictures than features lacks rank, and the distance is far too large. */
static bool is_small(const struct run *run) {
  return run->sums.pictures <= features_dimension(run->features);
}

static void print_result(const struct run *run, const struct vqct_evaluation *result) {
  printf("%s: %llu pictures, %llu positions\n\n| PSNR, dB | SSIM |%s\n|---|---|%s\n"
         "| %.2f | %.4f |",
         run->info->name, (unsigned long long)result->pictures,
         (unsigned long long)result->positions, run->perceptual ? " LPIPS |" : "",
         run->perceptual ? "---|" : "", result->psnr, result->ssim);
  if (run->perceptual)
    printf(" %.4f (%s) |", result->lpips, perceptual_name(run->perceptual));
  printf("\n");
  if (run->features)
    printf("\n%s: %.4f%s\n", features_measure(run->features), run->frechet,
           is_small(run) ? " (too few pictures to compare with any other set)" : "");
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

static enum vqct_status save_json(const struct run *run, const struct vqct_evaluation *result,
                                  struct vqct_error *error) {
  json_t *books = json_array();
  for (int i = 0; i < result->codebooks; i++)
    json_array_append_new(books, health_json(result->name[i], &result->health[i]));
  json_t *object = json_pack(
      "{s:s, s:s, s:I, s:I, s:I, s:f, s:o}", "model", run->info->name, "checksum",
      run->info->checksum, "pictures", (json_int_t)result->pictures, "failed", (json_int_t)run->bad,
      "positions", (json_int_t)result->positions, "ssim", result->ssim, "codebooks", books);
  if (isfinite(result->psnr)) /* JSON has no infinity */
    json_object_set_new(object, "psnr", json_real(result->psnr));
  if (run->perceptual) {
    json_object_set_new(object, "lpips", json_real(result->lpips));
    json_object_set_new(object, "lpips_network", json_string(perceptual_name(run->perceptual)));
  }
  if (run->features)
    json_object_set_new(object, "frechet",
                        json_pack("{s:s, s:f, s:I, s:I}", "measure",
                                  features_measure(run->features), "distance", run->frechet,
                                  "features", (json_int_t)features_dimension(run->features),
                                  "pictures", (json_int_t)result->pictures));
  char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
  json_decref(object);
  if (!text)
    return error_set(error, VQCT_MEMORY, "no memory for %s", run->settings.json);
  enum vqct_status status = atomic_file_save(run->settings.json, text, strlen(text), error);
  free(text);
  return status;
}

static enum vqct_status tell(struct run *run, struct vqct_error *error) {
  struct vqct_evaluation result;
  enum vqct_status status = VQCT_OK;
  if (run->features)
    status = frechet_distance(&run->feature_sums.original, &run->feature_sums.made, run->pool,
                              &run->frechet, error);
  if (status != VQCT_OK)
    return error_prefix(error, "--features");
  evaluation_result(&run->sums, run->adjectives, run->nouns, &result);
  print_result(run, &result);
  if (run->settings.json)
    status = save_json(run, &result, error);
  if (status == VQCT_OK && run->settings.sheet)
    status = sheet_save(run->settings.sheet, run->shown, run->shown_count,
                        2 * (size_t)run->settings.columns, error);
  if (status == VQCT_OK && run->bad)
    status = error_set(error, VQCT_PARTIAL, "%zu of %zu pictures failed", run->bad, run->limit);
  return status;
}

/* ---- running --------------------------------------------------------------------------------- */

static enum vqct_status prepare_features(struct run *run, struct vqct_error *error) {
  enum vqct_status status = features_open(run->settings.features, &run->features, error);
  if (status != VQCT_OK)
    return status;
  size_t dimension = features_dimension(run->features);
  run->feature_sums.network = run->features;
  run->sums.features = &run->feature_sums;
  status = moments_init(&run->feature_sums.original, dimension, error);
  return status == VQCT_OK ? moments_init(&run->feature_sums.made, dimension, error) : status;
}

static enum vqct_status prepare_measures(struct run *run, struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  if (run->settings.perceptual)
    status = perceptual_open(run->settings.perceptual, &run->perceptual, error);
  if (status == VQCT_OK && run->settings.features)
    status = prepare_features(run, error);
  if (status == VQCT_OK)
    status = pool_new(run->settings.threads ? (unsigned)run->settings.threads : cpu_count(),
                      &run->pool, error);
  for (uint32_t i = 0; i < run->info->planes; i++) {
    const struct vqct_plane *plane = &run->info->plane[i];
    bool adjectives = strncmp(plane->name, "adjective", strlen("adjective")) == 0;
    *(adjectives ? &run->adjectives : &run->nouns) = (int)plane->count;
  }
  run->sums.counts = arena_calloc(run->arena, run->info->codes, sizeof *run->sums.counts);
  if (run->settings.sheet)
    run->shown = arena_calloc(run->arena, 2 * run->limit, sizeof *run->shown);
  if (status == VQCT_OK && (!run->sums.counts || (run->settings.sheet && !run->shown)))
    status = error_set(error, VQCT_MEMORY, "no memory to measure %zu pictures", run->limit);
  return status;
}

static enum vqct_status prepare(struct run *run, char **operands, int count,
                                struct vqct_error *error) {
  enum vqct_status status = pictures_open((const char *const *)operands + 1, (size_t)count - 1,
                                          PICTURES_BAD_REFUSED, &run->pictures, error);
  if (status == VQCT_OK)
    status = vqct_model_open(operands[0], &run->model, error);
  if (status != VQCT_OK)
    return status;
  run->info = vqct_model_info(run->model);
  run->limit = pictures_count(run->pictures);
  if (run->settings.limit && (uint64_t)run->settings.limit < run->limit)
    run->limit = (size_t)run->settings.limit;
  status = preparation_check(&run->settings.preparation, run->info, error);
  if (status == VQCT_OK)
    status = prepare_measures(run, error);
  if (status == VQCT_OK)
    status = vqct_session_new(run->model, (unsigned)run->settings.threads, &run->session, error);
  struct feed_settings feed = {.pictures = run->pictures,
                               .preparation = run->settings.preparation,
                               .model = run->info,
                               .step = 1,
                               .threads = 1,
                               .ahead = 2};
  if (status == VQCT_OK)
    status = feed_new(&feed, &run->feed, error);
  return status;
}

static enum vqct_status eval(const void *values, const struct options_found *found,
                             struct arena *arena, struct vqct_error *error) {
  struct run run = {.settings = *(const struct settings *)values, .arena = arena};
  signals_catch();
  enum vqct_status status = prepare(&run, found->operands, found->operand_count, error);
  if (status == VQCT_OK)
    status = measure_all(&run, error);
  if (status == VQCT_OK)
    status = tell(&run, error);
  for (size_t i = 0; i < run.shown_count; i++)
    vqct_image_free(&run.shown[i]);
  feed_free(run.feed);
  vqct_session_free(run.session);
  vqct_model_close(run.model);
  pictures_close(run.pictures);
  perceptual_free(run.perceptual);
  features_free(run.features);
  moments_free(&run.feature_sums.original);
  moments_free(&run.feature_sums.made);
  pool_free(run.pool);
  return status;
}

static enum vqct_status run_eval(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, eval, error);
}

const struct command eval_command = {"eval", "measure reconstructions and codebooks", run_eval};
