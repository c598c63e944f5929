/* What decides tokens: the bytes of the file, how its pixels are fitted, and the model. The same
 * picture in another file is another one. */
#include "recall.h"

#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>

static bool asks(const struct request *request) {
  return request->service->cache && request->kind == REQUEST_ENCODE && !request->vectors;
}

/* Numbers are hashed one by one, since records have gaps. */
static int hash_fit(gnutls_hash_hd_t hash, const struct request *request) {
  const struct fit_box *crop = &request->crop;
  const struct fit_point *focus = &request->focus;
  const uint64_t numbers[] = {request->resize, request->width, request->height, crop->left,
                              crop->top,       crop->width,    crop->height,    focus->given};
  const double parts[] = {focus->x, focus->y};
  int failed = gnutls_hash(hash, numbers, sizeof numbers);
  return failed ? failed : gnutls_hash(hash, parts, sizeof parts);
}

static bool make_key(const struct request *request, struct picture *picture) {
  const char *checksum = request->engine->info->checksum;
  gnutls_hash_hd_t hash;
  if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256))
    return false;
  bool made = !gnutls_hash(hash, checksum, strlen(checksum)) && !hash_fit(hash, request) &&
              !gnutls_hash(hash, picture->file, picture->file_size);
  gnutls_hash_deinit(hash, picture->key.bytes);
  return made;
}

bool recall_find(struct request *request, struct picture *picture) {
  struct cache_tokens found;
  if (!asks(request))
    return false;
  picture->keyed = make_key(request, picture);
  if (!picture->keyed || !cache_find(request->service->cache, &picture->key, &found))
    return false;
  picture->recalled = picture_set_shape(request, picture, found.height, found.width);
  if (picture->recalled)
    memcpy(picture->tokens, found.tokens, found.count * sizeof *found.tokens);
  free(found.tokens);
  return picture->recalled;
}

void recall_keep(struct request *request, const struct picture *picture) {
  if (!picture->keyed)
    return;
  const struct cache_tokens tokens = {picture->job.height, picture->job.width,
                                      picture_tokens(request, picture), picture->tokens};
  cache_add(request->service->cache, &picture->key, &tokens);
}

void recall_tell(struct request *request) {
  size_t recalled = 0;
  if (!asks(request))
    return;
  for (size_t i = 0; i < request->count; i++)
    recalled += request->pictures[i].recalled;
  const char *told = recalled == 0 ? "miss" : recalled < request->count ? "partial" : "hit";
  reply_header(&request->reply, "X-Vqct-Cache", "%s", told);
}
