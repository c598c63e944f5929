/* Members of archives are found in a list of all of them, sorted by archive and name. */
#include "beside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "whole_file.h"

struct placed {
  const struct shard *shard;
  size_t member;
};

struct beside {
  const struct pictures *pictures;
  struct placed *placed;
  size_t count;
};

size_t beside_key(const char *name) {
  const char *slash = strrchr(name, '/');
  const char *base = slash ? slash + 1 : name, *dot = strchr(base, '.');
  return dot ? (size_t)(dot - name) : strlen(name);
}

/* The order of archives, then names, then places. */
static int by_place(const void *a, const void *b) {
  const struct placed *x = a, *y = b;
  if (x->shard != y->shard)
    return (uintptr_t)x->shard < (uintptr_t)y->shard ? -1 : 1;
  int order = strcmp(shard_name(x->shard, x->member), shard_name(y->shard, y->member));
  return order ? order : (x->member > y->member) - (x->member < y->member);
}

static void list_members(struct beside *beside, const struct shard *shard) {
  for (size_t i = 0; i < shard_count(shard); i++)
    if (shard_kind(shard, i) == SHARD_FILE)
      beside->placed[beside->count++] = (struct placed){shard, i};
}

enum vqct_status beside_open(const struct pictures *pictures, struct beside **result,
                             struct vqct_error *error) {
  size_t members = 0;
  *result = NULL;
  for (size_t i = 0; i < pictures_archives(pictures); i++)
    members += shard_count(pictures_archive(pictures, i));
  struct beside *beside = calloc(1, sizeof *beside);
  if (beside && members)
    beside->placed = malloc(members * sizeof *beside->placed);
  if (!beside || (members && !beside->placed)) {
    beside_close(beside);
    return error_set(error, VQCT_MEMORY, "no memory to list %zu members", members);
  }
  beside->pictures = pictures;
  for (size_t i = 0; i < pictures_archives(pictures); i++)
    list_members(beside, pictures_archive(pictures, i));
  if (members)
    qsort(beside->placed, beside->count, sizeof *beside->placed, by_place);
  *result = beside;
  return VQCT_OK;
}

void beside_close(struct beside *beside) {
  if (!beside)
    return;
  free(beside->placed);
  free(beside);
}

static const struct placed *find_member(const struct beside *beside, const struct shard *shard,
                                        const char *name) {
  size_t low = 0, high = beside->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const struct placed *at = &beside->placed[middle];
    bool before = at->shard != shard ? (uintptr_t)at->shard < (uintptr_t)shard
                                     : strcmp(shard_name(shard, at->member), name) < 0;
    if (before)
      low = middle + 1;
    else
      high = middle;
  }
  const struct placed *found = beside->placed + low;
  return low < beside->count && found->shard == shard &&
                 strcmp(shard_name(shard, found->member), name) == 0
             ? found
             : NULL;
}

static enum vqct_status read_member(const struct beside *beside, const struct shard *shard,
                                    const char *name, uint64_t limit, struct beside_bytes *bytes,
                                    struct vqct_error *error) {
  const struct placed *placed = find_member(beside, shard, name);
  struct shard_bytes content;
  if (!placed)
    return VQCT_OK;
  enum vqct_status status = shard_read(shard, placed->member, limit, &content, error);
  if (status != VQCT_OK)
    return status;
  *bytes = (struct beside_bytes){
      .found = true, .data = content.data, .size = content.size, .owned = content.owned};
  return VQCT_OK;
}

static enum vqct_status read_file(const char *name, uint64_t limit, struct beside_bytes *bytes,
                                  struct vqct_error *error) {
  struct stat facts;
  if (stat(name, &facts) != 0 && (errno == ENOENT || errno == ENOTDIR))
    return VQCT_OK;
  struct whole_file file;
  enum vqct_status status = whole_file_read(name, limit, &file, error);
  if (status != VQCT_OK)
    return status;
  *bytes = (struct beside_bytes){
      .found = true, .data = file.data, .size = file.size, .owned = file.data};
  return VQCT_OK;
}

enum vqct_status beside_read(const struct beside *beside, size_t index, const char *ending,
                             uint64_t limit, struct beside_bytes *bytes, struct vqct_error *error) {
  size_t member;
  const struct shard *shard = pictures_member(beside->pictures, index, &member);
  const char *picture = shard ? shard_name(shard, member) : pictures_name(beside->pictures, index);
  size_t key = beside_key(picture), size = strlen(ending) + 1;
  char *name = malloc(key + size);
  *bytes = (struct beside_bytes){0};
  if (!name)
    return error_set(error, VQCT_MEMORY, "no memory to read what is beside pictures");
  memcpy(name, picture, key);
  memcpy(name + key, ending, size);
  enum vqct_status status;
  if (!shard)
    status = read_file(name, limit, bytes, error);
  else if ((status = read_member(beside, shard, name, limit, bytes, error)))
    error_prefix(error, "%s beside %s", name, pictures_name(beside->pictures, index));
  free(name);
  return status;
}

void beside_release(struct beside_bytes *bytes) {
  free(bytes->owned);
  *bytes = (struct beside_bytes){0};
}
