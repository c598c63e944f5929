#include "encode_batch.h"

#include <stdlib.h>

#include "error.h"

enum vqct_status encode_batch_open(struct encode_batch *batch, struct vqct_session *session,
                                   const struct vqct_model_info *model, size_t room,
                                   struct vqct_error *error) {
  *batch = (struct encode_batch){.session = session,
                                 .model = model,
                                 .room = room,
                                 .view = calloc(room, sizeof *batch->view),
                                 .pixels = calloc(room, sizeof *batch->pixels),
                                 .tokens = calloc(room, sizeof *batch->tokens)};
  if (batch->view && batch->pixels && batch->tokens)
    return VQCT_OK;
  return error_set(error, VQCT_MEMORY, "no memory for %zu pictures", room);
}

bool encode_batch_takes(const struct encode_batch *batch, uint32_t width, uint32_t height) {
  const struct encode_view *first = &batch->view[0];
  return !batch->filled || (first->width == width && first->height == height);
}

void encode_batch_add(struct encode_batch *batch, const struct encode_view *view) {
  batch->view[batch->filled++] = *view;
}

/* Room for `count` tokens of every view. */
static enum vqct_status reserve_tokens(struct encode_batch *batch, size_t count,
                                       struct vqct_error *error) {
  if (count <= batch->tokens_room)
    return VQCT_OK;
  batch->tokens_room = 0;
  for (size_t i = 0; i < batch->room; i++) {
    free(batch->tokens[i]);
    batch->tokens[i] = malloc(count * sizeof *batch->tokens[i]);
    if (!batch->tokens[i])
      return error_set(error, VQCT_MEMORY, "no memory for tokens");
  }
  batch->tokens_room = count;
  return VQCT_OK;
}

enum vqct_status encode_batch_run(struct encode_batch *batch, struct vqct_error *error) {
  const struct encode_view *first = &batch->view[0];
  batch->height = first->height / batch->model->downsampling;
  batch->width = first->width / batch->model->downsampling;
  enum vqct_status status =
      reserve_tokens(batch, batch->model->planes * batch->height * batch->width, error);
  if (status != VQCT_OK)
    return status;
  for (size_t i = 0; i < batch->filled; i++)
    batch->pixels[i] = batch->view[i].pixels;
  return vqct_encode(batch->session, batch->pixels, batch->filled, first->height, first->width,
                     batch->tokens, error);
}

void encode_batch_clear(struct encode_batch *batch) {
  for (size_t i = 0; i < batch->filled; i++)
    vqct_image_free(&batch->view[i].owned);
  batch->filled = 0;
}

void encode_batch_close(struct encode_batch *batch) {
  encode_batch_clear(batch);
  for (size_t i = 0; batch->tokens && i < batch->room; i++)
    free(batch->tokens[i]);
  free(batch->view);
  free(batch->pixels);
  free(batch->tokens);
}
