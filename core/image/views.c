/* A view is a window of the picture at another size (struct resample_target), so that each is
 * resampled once from the original pixels, and its box in them follows from the same numbers. All
 * views of a picture are rows of one tall picture. */
#include "views.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "error.h"
#include "hash.h"
#include "resample.h"
#include "rng.h"

#define TEN_FACTOR 1.1 /* by how much a picture is larger than its ten crops */

/* ---- what is asked for ----------------------------------------------------------------------- */

bool views_read_crops(struct views *views, const char *text) {
  unsigned windows;
  char rest;
  views->windows = 0;
  if (strcmp(text, "center") == 0) {
    views->kind = VIEWS_CENTER;
    return true;
  }
  if (strcmp(text, "ten") == 0) {
    views->kind = VIEWS_TEN;
    return true;
  }
  if (sscanf(text, "random:%4u%c", &windows, &rest) != 1 || windows < 1 ||
      windows > VIEWS_RANDOM_MAX)
    return false;
  views->kind = VIEWS_RANDOM;
  views->windows = windows;
  return true;
}

bool views_read_range(struct views *views, const char *text) {
  char rest;
  return sscanf(text, "%lf:%lf%c", &views->least, &views->most, &rest) == 2 &&
         views->least >= VIEWS_PART_LEAST && views->least <= views->most && views->most <= 1;
}

bool views_read_sizes(struct views *views, const char *text) {
  for (views->sizes = 0; views->sizes < VIEWS_SIZES_MAX;) {
    struct views_size *size = &views->size[views->sizes];
    int length = 0;
    if (sscanf(text, "%5" SCNu32 "x%5" SCNu32 "%n", &size->width, &size->height, &length) != 2 ||
        size->width < 1 || size->height < 1 || size->width > UINT16_MAX ||
        size->height > UINT16_MAX)
      return false;
    views->sizes++;
    text += length;
    if (!*text)
      return true;
    if (*text++ != ',')
      return false;
  }
  return false;
}

static unsigned windows(const struct views *views) {
  return views->kind == VIEWS_CENTER ? 1 : views->kind == VIEWS_TEN ? 5 : views->windows;
}

static bool mirrors(const struct views *views) {
  return views->flip || views->kind == VIEWS_TEN;
}

unsigned views_count(const struct views *views) {
  return windows(views) * (mirrors(views) ? 2 : 1);
}

/* ---- where a view is ------------------------------------------------------------------------- */

/* The size to fit to: of several the one whose aspect is nearest, the first of equals. */
static struct views_size nearest_size(const struct views *views, const struct fit *fit,
                                      uint32_t width, uint32_t height) {
  struct views_size best = {fit->width, fit->height};
  double least = INFINITY;
  for (size_t i = 0; i < views->sizes; i++) {
    const struct views_size *size = &views->size[i];
    double off = fabs(log((double)width * size->height / ((double)height * size->width)));
    if (off < least) {
      least = off;
      best = *size;
    }
  }
  return best;
}

/* One of five within the centre that is 1.1 times as large, which is mirrored first or not. */
static struct resample_target ten_window(struct views_size size, uint32_t width, uint32_t height,
                                         unsigned window, bool mirrored) {
  struct views_size larger = {(uint32_t)(size.width * TEN_FACTOR),
                              (uint32_t)(size.height * TEN_FACTOR)};
  struct resample_target target = resample_cover(width, height, larger.width, larger.height);
  uint64_t across = larger.width - size.width, down = larger.height - size.height;
  const uint64_t left[5] = {0, across, 0, across, resample_centre(larger.width, size.width)};
  const uint64_t top[5] = {0, 0, down, down, resample_centre(larger.height, size.height)};
  target.left += mirrored ? across - left[window] : left[window];
  target.top += top[window];
  return target;
}

static struct resample_target random_window(const struct views *views, struct views_size size,
                                            const char *name, uint32_t width, uint32_t height,
                                            unsigned window) {
  struct rng rng;
  rng_seed(&rng, views->seed, hash_add(hash_text(name, strlen(name)), window));
  double part = views->least + (views->most - views->least) * (double)rng_uniform(&rng);
  struct resample_target target = resample_cover(width, height, (uint32_t)lround(size.width / part),
                                                 (uint32_t)lround(size.height / part));
  target.left = rng_below(&rng, target.full_width - size.width + 1);
  target.top = rng_below(&rng, target.full_height - size.height + 1);
  return target;
}

static struct resample_target window_of(const struct views *views, const struct fit *fit,
                                        const char *name, uint32_t width, uint32_t height,
                                        unsigned view) {
  const struct views_size size = nearest_size(views, fit, width, height);
  unsigned window = view % windows(views);
  bool mirrored = view >= windows(views);
  struct resample_target target =
      views->kind == VIEWS_RANDOM ? random_window(views, size, name, width, height, window)
      : views->kind == VIEWS_TEN  ? ten_window(size, width, height, window, mirrored)
                                  : resample_cover(width, height, size.width, size.height);
  target.width = size.width;
  target.height = size.height;
  return target;
}

struct view_box views_box(const struct views *views, const struct fit *fit, const char *name,
                          uint32_t width, uint32_t height, unsigned view) {
  const struct resample_target t = window_of(views, fit, name, width, height, view);
  double across = (double)width / (double)t.full_width,
         down = (double)height / (double)t.full_height;
  return (struct view_box){.left = (double)t.left * across,
                           .top = (double)t.top * down,
                           .right = (double)(t.left + t.width) * across,
                           .bottom = (double)(t.top + t.height) * down,
                           .mirrored = view >= windows(views)};
}

/* ---- pixels ---------------------------------------------------------------------------------- */

static enum vqct_status make_one(const struct views *views, const struct fit *fit, const char *name,
                                 const struct vqct_image *picture, unsigned view,
                                 struct vqct_image *result, struct vqct_error *error) {
  const struct resample_target target =
      window_of(views, fit, name, picture->width, picture->height, view);
  enum vqct_status status = image_resample(picture, &target, cpu_best_isa(), result, error);
  if (status != VQCT_OK)
    return status;
  if ((status = fit_channels(result, fit->channels, error)))
    vqct_image_free(result);
  else if (view >= windows(views))
    fit_mirror(result);
  return status;
}

enum vqct_status views_make(const struct views *views, const struct fit *fit, const char *name,
                            const struct vqct_image *picture, struct vqct_image *result,
                            struct vqct_error *error) {
  const struct views_size size = nearest_size(views, fit, picture->width, picture->height);
  unsigned count = views_count(views);
  size_t bytes = (size_t)size.width * size.height * fit->channels;
  *result = (struct vqct_image){0};
  if ((uint64_t)bytes * count > UINT32_MAX)
    return error_set(error, VQCT_MEMORY,
                     "%u views of %" PRIu32 " x %" PRIu32 " pixels are too many", count, size.width,
                     size.height);
  enum vqct_status status =
      image_new(size.width, size.height * count, fit->channels, result, error);
  for (unsigned view = 0; view < count && status == VQCT_OK; view++) {
    struct vqct_image one;
    status = make_one(views, fit, name, picture, view, &one, error);
    if (status == VQCT_OK)
      memcpy(result->pixels + view * bytes, one.pixels, bytes);
    vqct_image_free(&one);
  }
  if (status != VQCT_OK)
    vqct_image_free(result);
  return status;
}
