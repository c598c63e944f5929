/* Texts run in batches of a fixed number, which bounds the scratch whatever the number of words. */
#include "clip.h"

#include <math.h>

#include "clip_network.h"
#include "error.h"

#define BATCH_TEXTS ((size_t)64) /* that run together; bounds the scratch */

size_t clip_dimension(const struct clip *clip) {
  return clip->dimension;
}

/* Up to BATCH_TEXTS texts. tokens: room for that many times the positions. */
static enum vqct_status embed_batch(const struct clip *clip, const char *const *texts, size_t count,
                                    uint32_t *tokens, float *features, const struct exec *exec,
                                    struct vqct_error *error) {
  size_t start[BATCH_TEXTS + 1] = {0};
  enum vqct_status status;
  for (size_t i = 0; i < count; i++) {
    size_t length;
    status = bpe_encode(clip->bpe, texts[i], tokens + start[i], clip->positions, &length, error);
    if (status != VQCT_OK)
      return status;
    start[i + 1] = start[i] + length;
  }
  status = clip_forward(clip, tokens, start, count, features, exec);
  if (status != VQCT_OK)
    return error_set(error, status, "no memory to encode %zu texts", count);
  for (size_t i = 0; i < count * clip->dimension; i++)
    if (!isfinite(features[i]))
      return error_set(error, VQCT_NOT_FINITE, "the feature of '%.80s' is not finite",
                       texts[i / clip->dimension]);
  return VQCT_OK;
}

enum vqct_status clip_embed(const struct clip *clip, const char *const *texts, size_t count,
                            float *features, const struct exec *exec, struct vqct_error *error) {
  struct arena_mark mark = arena_mark(exec->arena);
  uint32_t *tokens = arena_alloc(exec->arena, BATCH_TEXTS * clip->positions * sizeof *tokens);
  enum vqct_status status =
      tokens ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory to encode %zu texts", count);
  for (size_t at = 0; at < count && status == VQCT_OK; at += BATCH_TEXTS) {
    size_t batch = count - at < BATCH_TEXTS ? count - at : BATCH_TEXTS;
    status =
        embed_batch(clip, texts + at, batch, tokens, features + at * clip->dimension, exec, error);
  }
  arena_release(exec->arena, mark);
  return status;
}
