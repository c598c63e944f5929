/* Views of pictures, encoded ahead by threads and given in their order.
 *
 *   struct encode_ahead *ahead;
 *   struct encode_view view;
 *   if (encode_ahead_new(&settings, &ahead, &error) == VQCT_OK)
 *     while (encode_ahead_next(ahead, &view)) {
 *       use(&view);
 *       encode_view_free(&view);
 *     }
 *   encode_ahead_free(ahead);
 */
#ifndef COMMAND_ENCODE_AHEAD_H
#define COMMAND_ENCODE_AHEAD_H

#include "feed.h"

struct encode_ahead_settings {
  struct feed *feed; /* of pictures with that many views; outlives all this, which empties it */
  const struct pictures *pictures;
  const struct vqct_model *model;
  struct vqct_session *session; /* of all threads; encode_ahead_next computes with it */
  unsigned threads;             /* 1 to 1024 */
  unsigned views;               /* of each picture, at least 1 */
  unsigned first;               /* view of the first picture to begin with */
};

/** One view of a picture, or the picture itself where it has but one. */
struct encode_view {
  struct feed_item item;  /* the picture: its pixels are those of all its views, its error is why it
                           * has no tokens, alike in all of them */
  unsigned number;        /* of the view */
  bool last;              /* of the picture's: owns the pixels */
  uint32_t width, height; /* pixels */
  uint32_t *tokens;       /* P,h,w; NULL where there is an error */
  struct vqct_error fault; /* what ends the run; status OK: nothing */
};

struct encode_ahead;

/** Starts encoding. Errors: MEMORY, and those of vqct_session_new; *ahead is then NULL. */
enum vqct_status encode_ahead_new(const struct encode_ahead_settings *settings,
                                  struct encode_ahead **ahead, struct vqct_error *error);

/** The next view, waiting for it; false at the end. For one caller, who frees it. */
bool encode_ahead_next(struct encode_ahead *ahead, struct encode_view *view);

/** In the order in which they came. */
void encode_view_free(struct encode_view *view);

/** Ends the threads, once they have computed what they are at; NULL is allowed. */
void encode_ahead_free(struct encode_ahead *ahead);

#endif
