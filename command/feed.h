/* Pictures for the commands, decoded and resized ahead by threads, in their order.
 *
 *   struct feed *feed;
 *   struct feed_item item;
 *   if (feed_new(&settings, &feed, &error) == VQCT_OK)
 *     while (feed_next(feed, &item)) {
 *       use(item);
 *       vqct_image_free(&item.image);
 *     }
 *   feed_free(feed);
 */
#ifndef COMMAND_FEED_H
#define COMMAND_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"
#include "pictures.h"
#include "views.h"
#include "vqct/image.h"
#include "vqct/model.h"

/** How a picture is made fit for the network. */
struct preparation {
  int resize;            /* enum vqct_resize */
  int64_t size;          /* side of a square, where width or height is 0 */
  int64_t width, height; /* pixels */
};

/** The rows of an option table that fill a `struct preparation` member of `type`. */
#define PREPARATION_OPTIONS(type, member)                                                          \
  {"size",         's',                                                                            \
   OPTION_INTEGER, offsetof(type, member) + offsetof(struct preparation, size),                    \
   "256",          1,                                                                              \
   32768,          NULL,                                                                           \
   "PIXELS",       "side of the square that pictures are resized to"},                             \
      {"width",                                                                                    \
       0,                                                                                          \
       OPTION_INTEGER,                                                                             \
       offsetof(type, member) + offsetof(struct preparation, width),                               \
       "0",                                                                                        \
       0,                                                                                          \
       32768,                                                                                      \
       NULL,                                                                                       \
       "PIXELS",                                                                                   \
       "width, where pictures are not to be square"},                                              \
      {"height",                                                                                   \
       0,                                                                                          \
       OPTION_INTEGER,                                                                             \
       offsetof(type, member) + offsetof(struct preparation, height),                              \
       "0",                                                                                        \
       0,                                                                                          \
       32768,                                                                                      \
       NULL,                                                                                       \
       "PIXELS",                                                                                   \
       "height, where pictures are not to be square"},                                             \
  {                                                                                                \
    "resize", 0, OPTION_CHOICE, offsetof(type, member) + offsetof(struct preparation, resize),     \
        "cover", 0, 0, "cover|contain|none", "HOW",                                                \
        "cover: fill the size and crop; contain: fit inside it; none: leave alone"                 \
  }

/** What pictures are made into. */
struct fit preparation_fit(const struct preparation *preparation,
                           const struct vqct_model_info *model);

/** Fills in width and height and checks them against the model. Errors: INVALID. */
enum vqct_status preparation_check(struct preparation *preparation,
                                   const struct vqct_model_info *model, struct vqct_error *error);

struct feed_settings {
  const struct pictures *pictures; /* outlive the feed */
  struct preparation preparation;  /* checked */
  const struct vqct_model_info *model;
  const struct views *views; /* outlive the feed; NULL: a picture is its image */
  size_t first, step;        /* pictures number first, first + step, ... */
  unsigned threads;          /* 1 to 1024 */
  size_t ahead;              /* pictures held, at least 1 */
};

struct feed_item {
  size_t index;            /* number in the list of pictures */
  struct vqct_image image; /* empty where it failed; with views all of them, views_make's */
  uint32_t width, height;  /* with views: of the whole picture, pixels */
  struct vqct_error error; /* status OK where it did not */
};

struct feed;

/** Starts decoding. Errors: MEMORY; *feed is then NULL. */
enum vqct_status feed_new(const struct feed_settings *settings, struct feed **feed,
                          struct vqct_error *error);

/** How many pictures it gives in all. */
size_t feed_count(const struct feed *feed);

/** The next picture, waiting for it; false at the end. The caller frees item->image. */
bool feed_next(struct feed *feed, struct feed_item *item);

/** Ends the threads; NULL is allowed. */
void feed_free(struct feed *feed);

#endif
