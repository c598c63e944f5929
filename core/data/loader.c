/* Which picture a number gets is settled under the lock, in the order of numbers, since an
 * epoch's shuffle is made once and in place; all else follows from the number, outside of it. */
#include "loader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "fit.h"
#include "prefetch.h"
#include "rng.h"

#define ATTEMPTS 16 /* pictures tried for one sample before the data counts as damaged */

/* Streams of the seed: one for the split into training and validation, one an epoch, one a
 * sample. */
#define STREAM_SPLIT  ((uint64_t)1 << 62)
#define STREAM_EPOCH  ((uint64_t)1 << 61)
#define STREAM_SAMPLE ((uint64_t)1 << 60)

struct sample {
  size_t picture; /* that the epoch's order gives it */
  int side;
  uint8_t *pixels;                   /* side,side,channels; from malloc */
  size_t bads;                       /* pictures that failed on the way */
  size_t bad[ATTEMPTS];              /* their numbers, */
  struct vqct_error fault[ATTEMPTS]; /* and what is wrong with them */
  struct vqct_error error;           /* status OK, or why there is no crop */
};

struct loader {
  struct loader_settings settings;
  size_t count;     /* pictures to train on */
  size_t *shuffled; /* all pictures: those held out first */
  size_t *order;    /* the current epoch's order of the pictures to train on */
  uint64_t epoch;   /* that `order` is of */
  bool *reported;   /* of each picture */
  size_t bad;
  struct prefetch *prefetch;
};

static void shuffle(size_t *numbers, size_t count, uint64_t seed, uint64_t stream) {
  struct rng rng;
  rng_seed(&rng, seed, stream);
  for (size_t i = count; i > 1; i--) {
    size_t other = (size_t)rng_below(&rng, i), held = numbers[i - 1];
    numbers[i - 1] = numbers[other];
    numbers[other] = held;
  }
}

static void start_epoch(struct loader *loader, uint64_t epoch) {
  memcpy(loader->order, loader->shuffled + loader->settings.held_out,
         loader->count * sizeof *loader->order);
  shuffle(loader->order, loader->count, loader->settings.seed, STREAM_EPOCH + epoch);
  loader->epoch = epoch;
}

/* The number in the whole run of this process's sample at `place`. */
static uint64_t sample_number(const struct loader *loader, uint64_t place) {
  const struct loader_settings *s = &loader->settings;
  return (place / s->share * s->ranks + s->rank) * s->share + place % s->share;
}

/* A random square of the picture, which is freed, at the sample's size. It is never smaller than
 * that size where the picture allows, so that nothing is enlarged without need. */
static enum vqct_status crop(const struct loader_settings *settings, struct vqct_image *image,
                             struct rng *rng, struct sample *sample) {
  uint32_t shorter = image->width < image->height ? image->width : image->height;
  uint32_t wanted = (uint32_t)sample->side, least = wanted < shorter ? wanted : shorter;
  double part =
      settings->crop_min + (settings->crop_max - settings->crop_min) * (double)rng_uniform(rng);
  uint32_t side = (uint32_t)lround(part * shorter);
  side = side < least ? least : side > shorter ? shorter : side;
  uint32_t left = (uint32_t)rng_below(rng, image->width - side + 1);
  uint32_t top = (uint32_t)rng_below(rng, image->height - side + 1);
  bool mirrored = settings->flip && rng_bits(rng) >> 63;
  const struct fit fit = {.resize = VQCT_RESIZE_COVER,
                          .width = wanted,
                          .height = wanted,
                          .factor = 1,
                          .channels = (uint32_t)settings->channels,
                          .crop = {left, top, side, side}};
  enum vqct_status status = fit_picture(&fit, image, &sample->error);
  if (status != VQCT_OK) {
    vqct_image_free(image);
    return status;
  }
  if (mirrored)
    fit_mirror(image);
  sample->pixels = image->pixels;
  return VQCT_OK;
}

/* By one thread at a time, in the order of numbers. */
static void assign_picture(void *context, uint64_t place, void *slot) {
  struct loader *loader = context;
  struct sample *sample = slot;
  uint64_t number = sample_number(loader, place);
  if (number / loader->count != loader->epoch)
    start_epoch(loader, number / loader->count);
  sample->picture = loader->order[number % loader->count];
}

/* Makes one sample of the run from its number and the picture that its epoch gives it. */
static void make_sample(void *context, uint64_t place, void *slot) {
  const struct loader *loader = context;
  const struct loader_settings *settings = &loader->settings;
  struct sample *sample = slot;
  uint64_t number = sample_number(loader, place);
  size_t picture = sample->picture;
  struct rng rng;
  rng_seed(&rng, settings->seed, STREAM_SAMPLE + number);
  sample->side = settings->side(settings->context, number);
  sample->bads = 0;
  sample->error.status = VQCT_OK;
  while (sample->bads < ATTEMPTS) {
    struct vqct_image image;
    struct vqct_error *fault = &sample->fault[sample->bads];
    if (pictures_decode(settings->pictures, picture, NULL, &image, fault) == VQCT_OK) {
      crop(settings, &image, &rng, sample);
      return;
    }
    sample->bad[sample->bads++] = picture;
    picture = loader->shuffled[settings->held_out + rng_below(&rng, loader->count)];
  }
  error_set(&sample->error, VQCT_DATA, "%d pictures in a row cannot be used, the last of them: %s",
            ATTEMPTS, sample->fault[ATTEMPTS - 1].message);
}

static enum vqct_status allocate(struct loader *loader, struct vqct_error *error) {
  const struct loader_settings *settings = &loader->settings;
  size_t all = pictures_count(settings->pictures);
  loader->shuffled = malloc(all * sizeof *loader->shuffled);
  loader->order = malloc(loader->count * sizeof *loader->order);
  loader->reported = calloc(all, sizeof *loader->reported);
  if (!loader->shuffled || !loader->order || !loader->reported)
    return error_set(error, VQCT_MEMORY, "no memory to load %zu pictures", all);
  for (size_t i = 0; i < all; i++)
    loader->shuffled[i] = i;
  shuffle(loader->shuffled, all, settings->seed, STREAM_SPLIT);
  return VQCT_OK;
}

enum vqct_status loader_new(const struct loader_settings *settings, uint64_t first,
                            struct loader **result, struct vqct_error *error) {
  size_t all = pictures_count(settings->pictures);
  *result = NULL;
  if (!(settings->crop_min > 0 && settings->crop_min <= settings->crop_max &&
        settings->crop_max <= 1) ||
      settings->threads < 1 || settings->threads > PREFETCH_THREADS_MAX || settings->ahead < 1 ||
      settings->share < 1 || settings->rank >= settings->ranks ||
      (settings->channels != 1 && settings->channels != 3))
    return error_set(error, VQCT_INVALID, "loading pictures: a setting is outside its range");
  if (settings->held_out >= all)
    return error_set(error, VQCT_DATA,
                     "%zu pictures are to be held out for validation, and there are %zu: none is "
                     "left to train on; lower --held-out or give --validation",
                     settings->held_out, all);
  struct loader *loader = calloc(1, sizeof *loader);
  if (!loader)
    return error_set(error, VQCT_MEMORY, "no memory to load pictures");
  loader->settings = *settings;
  loader->count = all - settings->held_out;
  const struct prefetch_settings ring = {.threads = settings->threads,
                                         .ahead = settings->ahead,
                                         .slot_size = sizeof(struct sample),
                                         .first = first,
                                         .end = UINT64_MAX,
                                         .assign = assign_picture,
                                         .make = make_sample,
                                         .context = loader};
  enum vqct_status status = allocate(loader, error);
  if (status != VQCT_OK)
    goto failed;
  start_epoch(loader, sample_number(loader, first) / loader->count);
  if ((status = prefetch_new(&ring, &loader->prefetch, error)) != VQCT_OK)
    goto failed;
  *result = loader;
  return VQCT_OK;
failed:
  loader_free(loader);
  return status;
}

static void drop_samples(struct prefetch *prefetch) {
  struct sample *sample;
  prefetch_stop(prefetch);
  while ((sample = prefetch_left(prefetch)))
    free(sample->pixels);
  prefetch_free(prefetch);
}

void loader_free(struct loader *loader) {
  if (!loader)
    return;
  if (loader->prefetch)
    drop_samples(loader->prefetch);
  free(loader->shuffled);
  free(loader->order);
  free(loader->reported);
  free(loader);
}

/* Counts and names the pictures that failed on the way to a sample, each once. */
static void report_bad(struct loader *loader, const struct sample *sample) {
  for (size_t i = 0; i < sample->bads; i++) {
    size_t picture = sample->bad[i];
    if (loader->reported[picture])
      continue;
    loader->reported[picture] = true;
    loader->bad++;
    if (loader->settings.report)
      loader->settings.report(loader->settings.context, sample->fault[i].message);
  }
}

enum vqct_status loader_next(struct loader *loader, float *picture, struct vqct_error *error) {
  struct sample *sample = prefetch_wait(loader->prefetch);
  enum vqct_status status = sample->error.status;
  report_bad(loader, sample);
  if (status == VQCT_OK)
    fit_floats(sample->pixels,
               (size_t)sample->side * (size_t)sample->side * (size_t)loader->settings.channels,
               picture);
  else
    error_set(error, status, "%s", sample->error.message);
  free(sample->pixels);
  sample->pixels = NULL;
  prefetch_give_back(loader->prefetch);
  return status;
}

size_t loader_bad(const struct loader *loader) {
  return loader->bad;
}

double loader_waited(const struct loader *loader) {
  return prefetch_waited(loader->prefetch);
}

size_t loader_held_out(const struct loader *loader, size_t index) {
  return loader->shuffled[index];
}

size_t loader_training_count(const struct loader *loader) {
  return loader->count;
}

size_t loader_training(const struct loader *loader, size_t index) {
  return loader->shuffled[loader->settings.held_out + index];
}
