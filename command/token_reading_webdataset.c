/* The members KEY.npy of NAME-000000.tar, NAME-000001.tar, ..., which are the pictures' numbers in
 * their order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "npy.h"
#include "shard.h"
#include "token_reading.h"

#define SUFFIX ".tar"

struct token_reader {
  const struct token_set *set;
  struct libarchive library;
  struct shard **shard; /* those that were opened, which hold the bytes */
  size_t shards;
  char *path;    /* of the last */
  size_t member; /* of it that comes next */
};

static void webdataset_close(struct token_reader *reader) {
  if (!reader)
    return;
  for (size_t i = 0; i < reader->shards; i++)
    shard_close(reader->shard[i]);
  free(reader->shard);
  free(reader->path);
  free(reader);
}

static enum vqct_status webdataset_open(const struct token_set *set, struct token_reader **result,
                                        struct vqct_error *error) {
  struct token_reader *reader = calloc(1, sizeof *reader);
  *result = NULL;
  size_t room = strlen(set->path) + 24;
  char *path = malloc(room);
  if (!reader || !path) {
    free(reader);
    free(path);
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", set->path);
  }
  reader->set = set;
  reader->path = path;
  enum vqct_status status =
      set->shard_rows
          ? libarchive_load(&reader->library, error)
          : error_set(error, VQCT_DATA, "%s: its .jsonl does not tell \"shard_size\", from 1 on",
                      set->path);
  if (status != VQCT_OK)
    webdataset_close(reader);
  else
    *result = reader;
  return status;
}

static enum vqct_status open_next(struct token_reader *reader, struct vqct_error *error) {
  const char *path = reader->set->path;
  size_t stem = strlen(path) - strlen(SUFFIX);
  struct shard **grown = realloc(reader->shard, (reader->shards + 1) * sizeof *grown);
  if (!grown)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", path);
  reader->shard = grown;
  snprintf(reader->path, strlen(path) + 24, "%.*s-%06zu" SUFFIX, (int)stem, path, reader->shards);
  enum vqct_status status =
      shard_open(reader->path, &reader->library, NULL, &grown[reader->shards], error);
  if (status != VQCT_OK)
    return status;
  reader->shards++;
  reader->member = 0;
  return VQCT_OK;
}

/* Goes on to the next member that is an array; false where there is none. */
static bool find_array(struct token_reader *reader, const struct shard *shard) {
  for (; reader->member < shard_count(shard); reader->member++) {
    const char *dot = strrchr(shard_name(shard, reader->member), '.');
    if (dot && !strcmp(dot, ".npy") && shard_kind(shard, reader->member) == SHARD_FILE)
      return true;
  }
  return false;
}

static enum vqct_status find_numbers(struct token_reader *reader, const struct token_line *line,
                                     const struct shard *shard, struct token_bytes *bytes,
                                     struct vqct_error *error) {
  const struct token_set *set = reader->set;
  const char *name = shard_name(shard, reader->member);
  struct shard_bytes member;
  struct tensor tensor;
  size_t shape[3];
  int dims = token_layout_shape(&set->layout, set->planes, line->height, line->width, shape);
  enum vqct_status status = shard_read(shard, reader->member++, UINT32_MAX, &member, error);
  if (status != VQCT_OK)
    return status;
  if (member.owned) {
    free(member.owned);
    return error_set(error, VQCT_DATA, "%s: a sparse file is no array", name);
  }
  if ((status = npy_parse(name, member.data, member.size, &tensor, error)))
    return status;
  if (tensor.type != set->type || !tensor_has_shape(&tensor, dims, shape))
    return error_set(error, VQCT_TOKENS, "%s: %s of shape %s; the .jsonl tells of %s of shape %s",
                     name, tensor_type_name(tensor.type),
                     tensor_shape_text(tensor.dims, tensor.shape).text, tensor_type_name(set->type),
                     tensor_shape_text(dims, shape).text);
  *bytes = (struct token_bytes){tensor.data, tensor.count * tensor_type_size(tensor.type)};
  return VQCT_OK;
}

static enum vqct_status webdataset_find(struct token_reader *reader, const struct token_line *line,
                                        struct token_bytes *bytes, struct vqct_error *error) {
  enum vqct_status status;
  if (line->row % reader->set->shard_rows == 0 && (status = open_next(reader, error)))
    return status;
  const struct shard *shard = reader->shard[reader->shards - 1];
  if (!find_array(reader, shard))
    return error_set(error, VQCT_TOKENS,
                     "%s: it does not hold picture %zu, of which the .jsonl tells", reader->path,
                     line->row);
  status = find_numbers(reader, line, shard, bytes, error);
  return status == VQCT_OK ? VQCT_OK : error_prefix(error, "%s", reader->path);
}

const struct token_reading token_reading_webdataset = {
    .open = webdataset_open, .find = webdataset_find, .close = webdataset_close};
