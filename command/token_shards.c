/* What an earlier run left is counted from the sidecar's records, not from the files: a file counts
 * up to the end of its last recorded picture and is cut there. Shards behind it are removed. */
#include "token_shards.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

/* The path of a file and `more` behind it, from malloc; NULL where memory fails. */
static char *shard_path(const struct token_shards *shards, size_t number, const char *more) {
  if (!shards->prefix)
    return NULL;
  size_t size = strlen(shards->prefix) + strlen(shards->suffix) + strlen(more) + 24;
  char *name = malloc(size);
  if (name)
    snprintf(name, size, "%s%0*zu%s%s", shards->prefix, shards->digits, number, shards->suffix,
             more);
  return name;
}

size_t token_shards_number(const struct token_shards *shards) {
  return shards->pictures ? (shards->pictures - 1) / shards->each : 0;
}

size_t token_shards_filled(const struct token_shards *shards) {
  return shards->pictures - token_shards_number(shards) * shards->each;
}

/* Removes files that an earlier run left, from one on. */
static enum vqct_status remove_from(const struct token_shards *shards, size_t number,
                                    const char *more, struct vqct_error *error) {
  for (;; number++) {
    char *path = shard_path(shards, number, more);
    if (!path)
      return error_set(error, VQCT_MEMORY, "no memory to write tokens");
    int gone = unlink(path), reason = errno;
    if (gone != 0 && reason != ENOENT)
      error_set(error, VQCT_WRITE, "%s: %s", path, strerror(reason));
    free(path);
    if (gone != 0)
      return reason == ENOENT ? VQCT_OK : VQCT_WRITE;
  }
}

static enum vqct_status open_shard(struct token_shards *shards, size_t number,
                                   struct vqct_error *error) {
  part_file_close(&shards->part, PART_KEPT);
  if (shards->stream)
    return part_file_open_output(&shards->part, PART_STREAM, error);
  return part_file_open(&shards->part, shard_path(shards, number, ""), error);
}

enum vqct_status token_shards_open(struct token_shards *shards, struct vqct_error *error) {
  enum vqct_status status;
  if ((status = open_shard(shards, 0, error)) ||
      (status = part_file_found(&shards->part, &shards->found, error)))
    return status;
  shards->part.size = shards->header;
  return VQCT_OK;
}

/* How much an earlier run left of a file. */
static uint64_t bytes_left(const struct token_shards *shards, size_t number) {
  struct stat facts;
  char *path = shard_path(shards, number, ".part");
  bool there = path && stat(path, &facts) == 0 && S_ISREG(facts.st_mode);
  free(path);
  return there ? (uint64_t)facts.st_size : 0;
}

bool token_shards_recount(struct token_shards *shards, int64_t end, uint64_t least) {
  bool next = shards->pictures && token_shards_filled(shards) == shards->each;
  uint64_t found = next ? bytes_left(shards, token_shards_number(shards) + 1) : shards->found;
  uint64_t begin = next ? shards->header : shards->part.size;
  if (end < 0 || (uint64_t)end > found || (uint64_t)end < begin || (uint64_t)end - begin < least)
    return false;
  shards->found = found;
  shards->part.size = (uint64_t)end;
  shards->pictures++;
  return true;
}

enum vqct_status token_shards_cut(struct token_shards *shards, struct vqct_error *error) {
  uint64_t size = shards->part.size;
  size_t number = token_shards_number(shards);
  enum vqct_status status;
  if (shards->stream)
    return VQCT_OK;
  if ((status = number ? open_shard(shards, number, error) : VQCT_OK) ||
      (!shards->pictures && (status = part_file_cut(&shards->part, 0, error))) ||
      (status = part_file_cut(&shards->part, size, error)))
    return status;
  return remove_from(shards, number + 1, ".part", error);
}

enum vqct_status token_shards_next(struct token_shards *shards, struct vqct_error *error) {
  enum vqct_status status;
  if ((status = open_shard(shards, shards->pictures / shards->each, error)) ||
      (status = part_file_cut(&shards->part, 0, error)))
    return status;
  return part_file_cut(&shards->part, shards->header, error);
}

/* The last gets its name first, so that a run which ends here leaves the first ones to go on from.
 */
enum vqct_status token_shards_finish(struct token_shards *shards, struct vqct_error *error) {
  size_t files = token_shards_number(shards) + 1;
  if (shards->stream)
    return part_file_finish(&shards->part, error);
  enum vqct_status status = remove_from(shards, files, "", error);
  while (files-- > 0 && status == VQCT_OK) {
    status = open_shard(shards, files, error);
    if (status == VQCT_OK)
      status = part_file_finish(&shards->part, error);
  }
  return status;
}

void token_shards_close(struct token_shards *shards, enum part_end end) {
  part_file_close(&shards->part, end);
  free(shards->prefix);
  shards->prefix = NULL;
}
