#include "pass.h"

#include "collect.h"
#include "signals.h"

enum vqct_status pass_open(struct pass *pass, char **operands, int count, unsigned threads,
                           struct vqct_error *error) {
  enum vqct_status status;
  if ((status = pictures_open((const char *const *)operands + 1, (size_t)count - 1,
                              PICTURES_BAD_LISTED, &signals_stopping, &pass->pictures, error)) ||
      (status = vqct_model_open(operands[0], &pass->model, error)))
    return status;
  pass->info = vqct_model_info(pass->model);
  if ((status = preparation_check(&pass->preparation, pass->info, error)) ||
      (status = vqct_session_new(pass->model, threads, &pass->session, error)))
    return status;
  vqct_session_stop_when(pass->session, signals_stopping.asked, NULL);
  return VQCT_OK;
}

enum vqct_status pass_read(struct pass *pass, const struct feed_settings *which,
                           struct vqct_error *error) {
  struct feed_settings settings = *which;
  settings.pictures = pass->pictures;
  settings.preparation = pass->preparation;
  settings.model = pass->info;
  return feed_new(&settings, &pass->feed, error);
}

enum vqct_status pass_there_and_back(const struct pass *pass, const struct vqct_image *picture,
                                     uint32_t *tokens, uint8_t *pixels, struct vqct_error *error) {
  const uint8_t *in = picture->pixels;
  const uint32_t *chosen = tokens;
  uint32_t factor = pass->info->downsampling;
  enum vqct_status status =
      vqct_encode(pass->session, &in, 1, picture->height, picture->width, &tokens, error);
  if (status != VQCT_OK)
    return status;
  return vqct_decode(pass->session, &chosen, 1, picture->height / factor, picture->width / factor,
                     &pixels, error);
}

void pass_close(struct pass *pass) {
  feed_free(pass->feed);
  vqct_session_free(pass->session);
  vqct_model_close(pass->model);
  pictures_close(pass->pictures);
  *pass = (struct pass){0};
}
