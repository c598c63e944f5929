/* What a command holds that goes through pictures with a model.
 *
 *   struct pass pass = {.preparation = settings->preparation};
 *   if (pass_open(&pass, operands, count, threads, error) == VQCT_OK &&
 *       pass_read(&pass, &(struct feed_settings){.step = 1, .threads = 1, .ahead = 2}, error) ==
 *           VQCT_OK)
 *     while (feed_next(pass.feed, &item))
 *       ...
 *   pass_close(&pass);
 *
 * It is closed after an error too. A signal ends what the session computes (signals.h).
 */
#ifndef COMMAND_PASS_H
#define COMMAND_PASS_H

#include "feed.h"

struct pass {
  struct preparation preparation; /* the caller's; checked when the pass is opened */
  struct pictures *pictures;
  struct vqct_model *model;
  const struct vqct_model_info *info;
  struct vqct_session *session;
  struct feed *feed;
};

/** Lists the pictures of all operands but the first, which is the model, and makes its session.
 * threads 0: one for each processor. Errors: those of pictures_open, vqct_model_open,
 * preparation_check and vqct_session_new. */
enum vqct_status pass_open(struct pass *pass, char **operands, int count, unsigned threads,
                           struct vqct_error *error);

/** Starts decoding the pictures that `which` tells by first and step, on as many threads and as far
 * ahead as it says; its other members are filled in here. Errors: MEMORY. */
enum vqct_status pass_read(struct pass *pass, const struct feed_settings *which,
                           struct vqct_error *error);

/** A picture to its tokens, P,h,w, and back to pixels of its own size, both the caller's. Errors:
 * those of vqct_encode and vqct_decode. */
enum vqct_status pass_there_and_back(const struct pass *pass, const struct vqct_image *picture,
                                     uint32_t *tokens, uint8_t *pixels, struct vqct_error *error);

/** May be called again. */
void pass_close(struct pass *pass);

#endif
