/* Two pictures of one key would be one sample in webdataset, so all keys are made and sorted before
 * anything is written. */
#include "token_keys.h"

#include <stdlib.h>
#include <string.h>

#include "beside.h"
#include "error.h"
#include "token_name.h"

char *token_key(const struct pictures *pictures, size_t index, const char *ending) {
  size_t member;
  const struct shard *shard = pictures_member(pictures, index, &member);
  const char *name = shard ? shard_name(shard, member) : pictures_name(pictures, index);
  for (size_t skip = 1; skip; name += skip)
    skip = name[0] == '/' ? 1 : !strncmp(name, "./", 2) ? 2 : !strncmp(name, "../", 3) ? 3 : 0;
  return token_name_beside(name, beside_key(name), ending);
}

struct keyed {
  char *key;
  size_t picture;
};

static int by_key(const void *a, const void *b) {
  const struct keyed *x = a, *y = b;
  int order = strcmp(x->key, y->key);
  return order ? order : (x->picture > y->picture) - (x->picture < y->picture);
}

static enum vqct_status find_twins(const struct pictures *pictures, struct keyed *keyed,
                                   size_t count, struct vqct_error *error) {
  if (count)
    qsort(keyed, count, sizeof *keyed, by_key);
  for (size_t i = 1; i < count; i++)
    if (strcmp(keyed[i].key, keyed[i - 1].key) == 0)
      return error_set(error, VQCT_DATA, "%s and %s have one key, '%s', and a .tar takes it once",
                       pictures_name(pictures, keyed[i - 1].picture),
                       pictures_name(pictures, keyed[i].picture), keyed[i].key);
  return VQCT_OK;
}

enum vqct_status token_keys_check(const struct pictures *pictures, struct vqct_error *error) {
  size_t all = pictures_count(pictures), count = 0;
  struct keyed *keyed = calloc(all, sizeof *keyed);
  enum vqct_status status = keyed ? VQCT_OK : VQCT_MEMORY;
  for (size_t i = 0; status == VQCT_OK && i < all; i++) {
    if (pictures_is_fault(pictures, i))
      continue;
    keyed[count] = (struct keyed){token_key(pictures, i, ""), i};
    status = keyed[count].key ? VQCT_OK : VQCT_MEMORY;
    count += status == VQCT_OK;
  }
  status = status ? error_set(error, status, "no memory for the keys of %zu pictures", all)
                  : find_twins(pictures, keyed, count, error);
  for (size_t i = 0; i < count; i++)
    free(keyed[i].key);
  free(keyed);
  return status;
}
