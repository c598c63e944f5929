/* Views of one size, encoded together.
 *
 *   encode_batch_open(&batch, session, model, room, error)
 *   encode_batch_add(&batch, &view)  while it is not full and the view's size is that of the batch
 *   encode_batch_run(&batch, error)  -> batch.tokens of batch.view, batch.filled of them
 *   encode_batch_clear(&batch)
 */
#ifndef COMMAND_ENCODE_BATCH_H
#define COMMAND_ENCODE_BATCH_H

#include <stdbool.h>

#include "views.h"
#include "vqct/model.h"

/** One view of a picture, or the picture itself where it has but one. */
struct encode_view {
  size_t index; /* of the picture */
  unsigned number;
  bool last; /* of the picture's */
  const uint8_t *pixels;
  uint32_t width, height;
  struct view_box box;
  struct vqct_image owned; /* of the last view: the pixels of all of them */
};

struct encode_batch {
  struct vqct_session *session;
  const struct vqct_model_info *model;
  size_t room, filled; /* views */
  struct encode_view *view;
  const uint8_t **pixels;
  uint32_t **tokens;    /* P,h,w of each view */
  size_t tokens_room;   /* numbers, each */
  size_t height, width; /* of the grid, once it has run */
};

/** Begins with no view. Session and model outlive the batch, which is to be closed in any case.
 * Errors: MEMORY. */
enum vqct_status encode_batch_open(struct encode_batch *batch, struct vqct_session *session,
                                   const struct vqct_model_info *model, size_t room,
                                   struct vqct_error *error);

/** Whether a view of this size may be added to those that are there. */
bool encode_batch_takes(const struct encode_batch *batch, uint32_t width, uint32_t height);

/** Adds a view, and takes what it owns. There must be room. */
void encode_batch_add(struct encode_batch *batch, const struct encode_view *view);

/** Encodes the views, at least one. Errors: LIMIT (the size is not computed), MEMORY, and what
 * vqct_encode reports. */
enum vqct_status encode_batch_run(struct encode_batch *batch, struct vqct_error *error);

/** Lets go of all views. */
void encode_batch_clear(struct encode_batch *batch);

void encode_batch_close(struct encode_batch *batch);

#endif
