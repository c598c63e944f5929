/* Options that make several views of each picture, or fit it to one of several sizes. */
#ifndef COMMAND_VIEW_OPTIONS_H
#define COMMAND_VIEW_OPTIONS_H

#include "feed.h"
#include "options.h"
#include "views.h"

struct view_options {
  const char *crops, *range, *buckets;
  int64_t seed;
  bool flip;
};

#define VIEW_RANGE "0.8:1" /* of random crops, where none is asked for */

/** The rows of an option table that fill a `struct view_options` member of `type`. */
#define VIEW_OPTIONS(type, member)                                                                 \
  {"crops",                                                                                        \
   0,                                                                                              \
   OPTION_TEXT,                                                                                    \
   offsetof(type, member) + offsetof(struct view_options, crops),                                  \
   "center",                                                                                       \
   0,                                                                                              \
   0,                                                                                              \
   NULL,                                                                                           \
   "HOW",                                                                                          \
   "views of each picture: center, ten (corners and centre of 1.1 times the size, each mirrored "  \
   "too) or random:N"},                                                                            \
      {"crop-range",                                                                               \
       0,                                                                                          \
       OPTION_TEXT,                                                                                \
       offsetof(type, member) + offsetof(struct view_options, range),                              \
       VIEW_RANGE,                                                                                 \
       0,                                                                                          \
       0,                                                                                          \
       NULL,                                                                                       \
       "MIN:MAX",                                                                                  \
       "part of the picture's side that fits first which a random crop covers"},                   \
      {"flip",                                                                                     \
       0,                                                                                          \
       OPTION_SWITCH,                                                                              \
       offsetof(type, member) + offsetof(struct view_options, flip),                               \
       NULL,                                                                                       \
       0,                                                                                          \
       0,                                                                                          \
       NULL,                                                                                       \
       NULL,                                                                                       \
       "each view a second time, mirrored"},                                                       \
      {"seed",                                                                                     \
       0,                                                                                          \
       OPTION_INTEGER,                                                                             \
       offsetof(type, member) + offsetof(struct view_options, seed),                               \
       "0",                                                                                        \
       0,                                                                                          \
       (int64_t)1 << 53,                                                                           \
       NULL,                                                                                       \
       "NUMBER",                                                                                   \
       "of random views, which it settles with each picture's name"},                              \
  {                                                                                                \
    "buckets", 0, OPTION_TEXT, offsetof(type, member) + offsetof(struct view_options, buckets),    \
        NULL, 0, 0, NULL, "SIZES",                                                                 \
        "fit each picture to the nearest in aspect of these sizes, such as 256x256,320x192"        \
  }

/** Reads the options; *used tells whether they ask for anything, in which case pictures are to be
 * resized by cover. Errors: INVALID, naming the option. */
enum vqct_status view_options_read(const struct view_options *options,
                                   const struct preparation *preparation,
                                   const struct vqct_model_info *model, struct views *views,
                                   bool *used, struct vqct_error *error);

#endif
