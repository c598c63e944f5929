#include "loader.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "rng.h"

#define ATTEMPTS 16 /* pictures tried for one sample before the data counts as damaged */

/* Streams of the seed: one for the split into training and validation, one an epoch, one a
 * sample. */
#define STREAM_SPLIT  ((uint64_t)1 << 62)
#define STREAM_EPOCH  ((uint64_t)1 << 61)
#define STREAM_SAMPLE ((uint64_t)1 << 60)

struct sample {
  bool ready;
  int side;
  uint8_t *pixels;            /* largest,largest,3 */
  size_t bad[ATTEMPTS], bads; /* pictures that failed on the way */
  struct vqct_error error;    /* what the last of them had */
  enum vqct_status status;
};

struct loader {
  struct loader_settings settings;
  size_t count;     /* pictures to train on */
  size_t *shuffled; /* all pictures: those held out first */
  size_t *order;    /* the current epoch's order of the pictures to train on */
  uint64_t epoch;   /* that `order` is of */
  bool *reported;   /* of each picture */
  size_t bad;
  double waited;
  pthread_mutex_t lock; /* guards order, epoch, making, taken, stopping and every sample's ready */
  pthread_cond_t filled, emptied;
  uint64_t making; /* place in this process's stream that is next to be made */
  uint64_t taken;  /* place that is next to be taken out */
  bool stopping;
  struct sample *ring;
  unsigned threads;
  pthread_t thread[64];
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

/* Mirrors rows in place. */
static void mirror(uint8_t *pixels, int side) {
  for (int y = 0; y < side; y++) {
    uint8_t *row = pixels + (size_t)y * (size_t)side * 3;
    for (int left = 0, right = side - 1; left < right; left++, right--)
      for (int c = 0; c < 3; c++) {
        uint8_t held = row[3 * left + c];
        row[3 * left + c] = row[3 * right + c];
        row[3 * right + c] = held;
      }
  }
}

/* A random square of the picture at the sample's size. It is never smaller than that size where the
 * picture allows, so that nothing is enlarged without need. */
static enum vqct_status crop(const struct loader_settings *settings, const struct vqct_image *image,
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
  struct vqct_image square = {malloc((size_t)side * side * 3), side, side, 3}, scaled = {0};
  enum vqct_status status = VQCT_OK;
  if (!square.pixels)
    status = error_set(&sample->error, VQCT_MEMORY, "no memory for a crop");
  for (uint32_t y = 0; status == VQCT_OK && y < side; y++)
    memcpy(square.pixels + (size_t)y * side * 3,
           image->pixels + ((size_t)(top + y) * image->width + left) * 3, (size_t)side * 3);
  if (status == VQCT_OK)
    status = vqct_image_resize(&square, VQCT_RESIZE_COVER, wanted, wanted, &scaled, &sample->error);
  if (status == VQCT_OK)
    memcpy(sample->pixels, scaled.pixels, (size_t)wanted * wanted * 3);
  if (status == VQCT_OK && mirrored)
    mirror(sample->pixels, sample->side);
  vqct_image_free(&square);
  vqct_image_free(&scaled);
  return status;
}

/* Makes one sample of the run from its number and the picture that its epoch gives it. */
static void make_sample(const struct loader *loader, uint64_t number, size_t picture,
                        struct sample *sample) {
  const struct loader_settings *settings = &loader->settings;
  struct rng rng;
  rng_seed(&rng, settings->seed, STREAM_SAMPLE + number);
  sample->side = settings->side(settings->context, number);
  sample->bads = 0;
  do {
    struct vqct_image image;
    sample->status = pictures_decode(settings->pictures, picture, &image, &sample->error);
    if (sample->status == VQCT_OK) {
      sample->status = crop(settings, &image, &rng, sample);
      vqct_image_free(&image);
      return;
    }
    sample->bad[sample->bads++] = picture;
    picture = loader->shuffled[settings->held_out + rng_below(&rng, loader->count)];
  } while (sample->bads < ATTEMPTS);
}

static void *loader_main(void *argument) {
  struct loader *loader = argument;
  unsigned ahead = loader->settings.ahead;
  pthread_mutex_lock(&loader->lock);
  for (;;) {
    while (!loader->stopping && loader->making >= loader->taken + ahead)
      pthread_cond_wait(&loader->emptied, &loader->lock);
    if (loader->stopping)
      break;
    uint64_t place = loader->making++, number = sample_number(loader, place);
    if (number / loader->count != loader->epoch)
      start_epoch(loader, number / loader->count);
    size_t picture = loader->order[number % loader->count];
    struct sample *sample = &loader->ring[place % ahead];
    pthread_mutex_unlock(&loader->lock);
    make_sample(loader, number, picture, sample);
    pthread_mutex_lock(&loader->lock);
    sample->ready = true;
    pthread_cond_signal(&loader->filled);
  }
  pthread_mutex_unlock(&loader->lock);
  return NULL;
}

static enum vqct_status allocate(struct loader *loader, struct vqct_error *error) {
  const struct loader_settings *settings = &loader->settings;
  size_t all = pictures_count(settings->pictures), side = (size_t)settings->largest;
  loader->shuffled = malloc(all * sizeof *loader->shuffled);
  loader->order = malloc(loader->count * sizeof *loader->order);
  loader->reported = calloc(all, sizeof *loader->reported);
  loader->ring = calloc(settings->ahead, sizeof *loader->ring);
  bool whole = loader->shuffled && loader->order && loader->reported && loader->ring;
  for (unsigned i = 0; whole && i < settings->ahead; i++)
    whole = (loader->ring[i].pixels = malloc(side * side * 3)) != NULL;
  if (!whole)
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
      settings->threads < 1 || settings->threads > 64 || settings->ahead < 1 ||
      settings->largest < 1 || settings->share < 1 || settings->rank >= settings->ranks ||
      (settings->channels != 1 && settings->channels != 3))
    return error_set(error, VQCT_INVALID, "loading pictures: a setting is outside its range");
  if (settings->held_out >= all)
    return error_set(error, VQCT_DATA, "of %zu pictures %zu are held out: none is left to train on",
                     all, settings->held_out);
  struct loader *loader = calloc(1, sizeof *loader);
  if (!loader)
    return error_set(error, VQCT_MEMORY, "no memory to load pictures");
  loader->settings = *settings;
  loader->count = all - settings->held_out;
  loader->making = loader->taken = first;
  pthread_mutex_init(&loader->lock, NULL);
  pthread_cond_init(&loader->filled, NULL);
  pthread_cond_init(&loader->emptied, NULL);
  enum vqct_status status = allocate(loader, error);
  if (status == VQCT_OK)
    start_epoch(loader, sample_number(loader, first) / loader->count);
  for (; status == VQCT_OK && loader->threads < settings->threads; loader->threads++)
    if (pthread_create(&loader->thread[loader->threads], NULL, loader_main, loader)) {
      status = error_set(error, VQCT_MEMORY, "cannot start a thread to load pictures");
      break;
    }
  if (status == VQCT_OK)
    *result = loader;
  else
    loader_free(loader);
  return status;
}

void loader_free(struct loader *loader) {
  if (!loader)
    return;
  pthread_mutex_lock(&loader->lock);
  loader->stopping = true;
  pthread_cond_broadcast(&loader->emptied);
  pthread_mutex_unlock(&loader->lock);
  for (unsigned i = 0; i < loader->threads; i++)
    pthread_join(loader->thread[i], NULL);
  for (unsigned i = 0; loader->ring && i < loader->settings.ahead; i++)
    free(loader->ring[i].pixels);
  pthread_cond_destroy(&loader->filled);
  pthread_cond_destroy(&loader->emptied);
  pthread_mutex_destroy(&loader->lock);
  free(loader->shuffled);
  free(loader->order);
  free(loader->reported);
  free(loader->ring);
  free(loader);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Counts and names the pictures that failed on the way to a sample, each once. */
static void report_bad(struct loader *loader, const struct sample *sample) {
  for (size_t i = 0; i < sample->bads; i++) {
    size_t picture = sample->bad[i];
    if (loader->reported[picture])
      continue;
    loader->reported[picture] = true;
    loader->bad++;
    struct vqct_error error = {0};
    struct vqct_image image;
    if (pictures_decode(loader->settings.pictures, picture, &image, &error) == VQCT_OK)
      vqct_image_free(&image); /* it was a passing fault, such as one of the network */
    else if (loader->settings.report)
      loader->settings.report(loader->settings.context, error.message);
  }
}

enum vqct_status loader_next(struct loader *loader, float *picture, struct vqct_error *error) {
  struct sample *sample = &loader->ring[loader->taken % loader->settings.ahead];
  pthread_mutex_lock(&loader->lock);
  if (!sample->ready) {
    double start = seconds();
    while (!sample->ready)
      pthread_cond_wait(&loader->filled, &loader->lock);
    loader->waited += seconds() - start;
  }
  pthread_mutex_unlock(&loader->lock);
  report_bad(loader, sample);
  enum vqct_status status = sample->status;
  if (status == VQCT_OK)
    pixels_to_floats(sample->pixels, (size_t)sample->side * (size_t)sample->side,
                     loader->settings.channels, picture);
  else
    status = error_set(error, status == VQCT_MEMORY ? status : VQCT_DATA,
                       "%d pictures in a row cannot be used, the last of them: %s", ATTEMPTS,
                       sample->error.message);
  pthread_mutex_lock(&loader->lock);
  sample->ready = false;
  loader->taken++;
  pthread_cond_signal(&loader->emptied);
  pthread_mutex_unlock(&loader->lock);
  return status;
}

size_t loader_bad(const struct loader *loader) {
  return loader->bad;
}

double loader_waited(const struct loader *loader) {
  return loader->waited;
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

void pixels_to_floats(const uint8_t *pixels, size_t count, int channels, float *values) {
  if (channels == 3)
    for (size_t i = 0; i < 3 * count; i++)
      values[i] = (float)pixels[i] / 127.5F - 1;
  else
    for (size_t i = 0; i < count; i++) {
      const uint8_t *p = pixels + 3 * i;
      values[i] = (0.299F * (float)p[0] + 0.587F * (float)p[1] + 0.114F * (float)p[2]) / 127.5F - 1;
    }
}

void floats_to_pixels(const float *values, size_t count, uint8_t *pixels) {
  for (size_t i = 0; i < count; i++) {
    float clamped = values[i] < -1 ? -1 : values[i] > 1 ? 1 : values[i];
    pixels[i] = (uint8_t)lrintf((clamped + 1) * 127.5F);
  }
}
