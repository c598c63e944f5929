/* Threads take the numbers of pictures in order and put what they decode into a ring, each into the
 * slot of its number; the consumer takes slots out in order. `lock` guards the ring and the two
 * numbers and is never held while decoding. A thread waits on `room` while its slot is still taken,
 * the consumer on `filled` while its slot is empty.
 */
#include "feed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* ---- one picture ----------------------------------------------------------------------------- */

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

/* Luma of BT.601 in place, rounded as Pillow's convert("L") does. */
static void make_grey(struct vqct_image *picture) {
  size_t count = (size_t)picture->width * picture->height;
  for (size_t i = 0; i < count; i++) {
    const uint8_t *p = picture->pixels + 3 * i;
    picture->pixels[i] = (uint8_t)((19595U * p[0] + 38470U * p[1] + 7471U * p[2] + 0x8000U) >> 16);
  }
  picture->channels = 1;
}

static void replace(struct vqct_image *picture, struct vqct_image *by) {
  vqct_image_free(picture);
  *picture = *by;
  memset(by, 0, sizeof *by);
}

/* Resizes and crops a picture and turns it into the model's channels; takes its pixels and replaces
 * them. Errors: IMAGE (too small), MEMORY. */
static enum vqct_status picture_prepare(const struct preparation *preparation,
                                        const struct vqct_model_info *model,
                                        struct vqct_image *picture, struct vqct_error *error) {
  struct vqct_image result = {0};
  enum vqct_status status = VQCT_OK;
  if (preparation->resize != VQCT_RESIZE_NONE) {
    status = vqct_image_resize(picture, (enum vqct_resize)preparation->resize,
                               (uint32_t)preparation->width, (uint32_t)preparation->height, &result,
                               error);
    if (status != VQCT_OK)
      return status;
    replace(picture, &result);
  }
  if (picture->width < model->downsampling || picture->height < model->downsampling)
    return error_set(error, VQCT_IMAGE, "%u x %u pixels are less than a token of %u x %u",
                     picture->width, picture->height, model->downsampling, model->downsampling);
  if (picture->width % model->downsampling || picture->height % model->downsampling) {
    status = vqct_image_crop_to_multiple(picture, model->downsampling, &result, error);
    if (status != VQCT_OK)
      return status;
    replace(picture, &result);
  }
  if (model->channels == 1 && picture->channels == 3)
    make_grey(picture);
  return VQCT_OK;
}

/* ---- the ring -------------------------------------------------------------------------------- */

struct slot {
  bool full;
  struct feed_item item;
};

struct feed {
  struct feed_settings settings;
  size_t count; /* pictures to give in all */
  pthread_mutex_t lock;
  pthread_cond_t room, filled;
  size_t to_make, to_give; /* the next of 0 to count - 1 */
  bool stopping;
  unsigned threads;
  pthread_t *thread;
  struct slot *ring; /* settings.ahead of them */
};

static void make_item(const struct feed_settings *settings, size_t number, struct feed_item *item) {
  memset(item, 0, sizeof *item);
  item->index = settings->first + number * settings->step;
  enum vqct_status status =
      pictures_decode(settings->pictures, item->index, &item->image, &item->error);
  if (status == VQCT_OK) {
    status = picture_prepare(&settings->preparation, settings->model, &item->image, &item->error);
    if (status != VQCT_OK) {
      error_prefix(&item->error, "%s", pictures_name(settings->pictures, item->index));
      vqct_image_free(&item->image);
    }
  }
  if (status == VQCT_OK)
    item->error.status = VQCT_OK;
}

static void *feed_thread(void *argument) {
  struct feed *feed = argument;
  pthread_mutex_lock(&feed->lock);
  while (!feed->stopping && feed->to_make < feed->count) {
    if (feed->to_make - feed->to_give >= feed->settings.ahead) {
      pthread_cond_wait(&feed->room, &feed->lock);
      continue;
    }
    size_t number = feed->to_make++;
    struct slot *slot = &feed->ring[number % feed->settings.ahead];
    pthread_mutex_unlock(&feed->lock);
    make_item(&feed->settings, number, &slot->item);
    pthread_mutex_lock(&feed->lock);
    slot->full = true;
    pthread_cond_signal(&feed->filled);
  }
  pthread_mutex_unlock(&feed->lock);
  return NULL;
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
  pthread_mutex_init(&feed->lock, NULL);
  pthread_cond_init(&feed->room, NULL);
  pthread_cond_init(&feed->filled, NULL);
  feed->ring = calloc(settings->ahead, sizeof *feed->ring);
  feed->thread = calloc(settings->threads, sizeof *feed->thread);
  while (feed->ring && feed->thread && feed->threads < settings->threads &&
         !pthread_create(&feed->thread[feed->threads], NULL, feed_thread, feed))
    feed->threads++;
  if (feed->threads < settings->threads) {
    feed_free(feed);
    return error_set(error, VQCT_MEMORY, "cannot start %u threads to decode pictures",
                     settings->threads);
  }
  *result = feed;
  return VQCT_OK;
}

bool feed_next(struct feed *feed, struct feed_item *item) {
  if (feed->to_give == feed->count) /* only the consumer changes it */
    return false;
  pthread_mutex_lock(&feed->lock);
  struct slot *slot = &feed->ring[feed->to_give % feed->settings.ahead];
  while (!slot->full)
    pthread_cond_wait(&feed->filled, &feed->lock);
  *item = slot->item;
  slot->full = false;
  feed->to_give++;
  pthread_cond_signal(&feed->room);
  pthread_mutex_unlock(&feed->lock);
  return true;
}

void feed_free(struct feed *feed) {
  if (!feed)
    return;
  pthread_mutex_lock(&feed->lock);
  feed->stopping = true;
  pthread_cond_broadcast(&feed->room);
  pthread_mutex_unlock(&feed->lock);
  for (unsigned i = 0; i < feed->threads; i++)
    pthread_join(feed->thread[i], NULL);
  for (size_t i = 0; feed->ring && i < feed->settings.ahead; i++)
    if (feed->ring[i].full)
      vqct_image_free(&feed->ring[i].item.image);
  pthread_cond_destroy(&feed->room);
  pthread_cond_destroy(&feed->filled);
  pthread_mutex_destroy(&feed->lock);
  free(feed->ring);
  free(feed->thread);
  free(feed);
}
