/* A ring of decoded pictures (prefetch.h) over the list of names: each slot is made by some thread
 * from its number alone, and taken in order. A picture that fails is an item with an error. */
#include "feed.h"

#include <stdlib.h>

#include "error.h"
#include "fit.h"
#include "prefetch.h"

/* ---- options --------------------------------------------------------------------------------- */

struct fit preparation_fit(const struct preparation *p, const struct vqct_model_info *model) {
  return (struct fit){.resize = (enum vqct_resize)p->resize,
                      .width = (uint32_t)p->width,
                      .height = (uint32_t)p->height,
                      .factor = model->downsampling,
                      .channels = model->channels};
}

enum vqct_status preparation_check(struct preparation *preparation,
                                   const struct vqct_model_info *model, struct vqct_error *error) {
  int64_t factor = model->downsampling;
  if (!preparation->width)
    preparation->width = preparation->size;
  if (!preparation->height)
    preparation->height = preparation->size;
  if (model->channels == 2)
    return error_set(error, VQCT_INVALID,
                     "the model takes two channels, pictures have one or "
                     "three");
  if (preparation->resize == VQCT_RESIZE_COVER &&
      (preparation->width % factor || preparation->height % factor))
    return error_set(error, VQCT_INVALID,
                     "%lld x %lld pixels: both sides must be multiples of %lld, the model's "
                     "downsampling",
                     (long long)preparation->width, (long long)preparation->height,
                     (long long)factor);
  return VQCT_OK;
}

/* ---- the stream ------------------------------------------------------------------------------ */

struct feed {
  struct feed_settings settings;
  size_t count;
  struct prefetch *prefetch;
};

/* Decodes the whole picture, and gives its views. */
static enum vqct_status decode_views(const struct feed_settings *settings, const struct fit *fit,
                                     struct feed_item *item) {
  struct vqct_image whole;
  const char *name = pictures_name(settings->pictures, item->index);
  enum vqct_status status =
      pictures_decode(settings->pictures, item->index, NULL, &whole, &item->error);
  if (status != VQCT_OK)
    return status;
  item->width = whole.width;
  item->height = whole.height;
  status = views_make(settings->views, fit, name, &whole, &item->image, &item->error);
  vqct_image_free(&whole);
  return status == VQCT_OK ? VQCT_OK : error_prefix(&item->error, "%s", name);
}

static void make_item(void *context, uint64_t number, void *slot) {
  const struct feed_settings *settings = &((const struct feed *)context)->settings;
  const struct fit fit = preparation_fit(&settings->preparation, settings->model);
  struct feed_item *item = slot;
  *item = (struct feed_item){.index = settings->first + (size_t)number * settings->step};
  enum vqct_status status = settings->views ? decode_views(settings, &fit, item)
                                            : pictures_decode(settings->pictures, item->index, &fit,
                                                              &item->image, &item->error);
  if (status == VQCT_OK)
    item->error.status = VQCT_OK;
}

enum vqct_status feed_new(const struct feed_settings *settings, struct feed **result,
                          struct vqct_error *error) {
  *result = NULL;
  struct feed *feed = calloc(1, sizeof *feed);
  if (!feed)
    return error_set(error, VQCT_MEMORY, "no memory to decode pictures");
  size_t pictures = pictures_count(settings->pictures);
  feed->settings = *settings;
  if (settings->first < pictures)
    feed->count = (pictures - settings->first + settings->step - 1) / settings->step;
  const struct prefetch_settings ring = {.threads = settings->threads,
                                         .ahead = settings->ahead,
                                         .slot_size = sizeof(struct feed_item),
                                         .end = feed->count,
                                         .make = make_item,
                                         .context = feed};
  enum vqct_status status = prefetch_new(&ring, &feed->prefetch, error);
  if (status == VQCT_OK)
    *result = feed;
  else
    free(feed);
  return status;
}

size_t feed_count(const struct feed *feed) {
  return feed->count;
}

bool feed_next(struct feed *feed, struct feed_item *item) {
  const struct feed_item *next = prefetch_wait(feed->prefetch);
  if (!next)
    return false;
  *item = *next;
  prefetch_give_back(feed->prefetch);
  return true;
}

void feed_free(struct feed *feed) {
  if (!feed)
    return;
  struct feed_item *item;
  prefetch_stop(feed->prefetch);
  while ((item = prefetch_left(feed->prefetch)))
    vqct_image_free(&item->image);
  prefetch_free(feed->prefetch);
  free(feed);
}
