/* The column `tokens` of MosaicML Streaming's folder NAME.mds (token_format_mds.c describes it). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "little_endian.h"
#include "mapped_file.h"
#include "token_reading.h"

#define COLUMN   "tokens"
#define ENCODING "ndarray:uint16"

#define INDEX_MAX ((size_t)64 << 20) /* bytes of index.json */

/* One shard. */
struct samples {
  struct mapped_file mapped;
  size_t count;
  size_t varying; /* columns whose size stands at the beginning of a sample, of which the last is
                     the tokens' */
};

struct token_reader {
  const struct token_set *set;
  char *path;     /* of the file that is looked at */
  json_t *shards; /* of index.json */
  struct samples *shard;
  size_t opened;
  size_t next; /* sample of the last one that was opened */
};

static void mds_close(struct token_reader *reader) {
  if (!reader)
    return;
  for (size_t i = 0; i < reader->opened; i++)
    mapped_file_close(&reader->shard[i].mapped);
  free(reader->shard);
  json_decref(reader->shards);
  free(reader->path);
  free(reader);
}

static enum vqct_status no_memory(const struct token_reader *reader, struct vqct_error *error) {
  return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", reader->set->path);
}

/* Makes a file of the folder the one that is looked at. */
static enum vqct_status set_path(struct token_reader *reader, const char *name,
                                 struct vqct_error *error) {
  size_t room = strlen(reader->set->path) + strlen(name) + 2;
  char *path = malloc(room);
  if (!path)
    return no_memory(reader, error);
  snprintf(path, room, "%s/%s", reader->set->path, name);
  free(reader->path);
  reader->path = path;
  return VQCT_OK;
}

static enum vqct_status read_index(struct token_reader *reader, struct vqct_error *error) {
  struct mapped_file file;
  enum vqct_status status;
  if ((status = set_path(reader, "index.json", error)) ||
      (status = mapped_file_open(reader->path, &file, error)))
    return status;
  json_t *index = file.size && file.size <= INDEX_MAX
                      ? json_loadb((const char *)file.data, file.size, 0, NULL)
                      : NULL;
  mapped_file_close(&file);
  reader->shards = json_incref(json_object_get(index, "shards"));
  json_decref(index);
  if (!json_is_array(reader->shards))
    return error_set(error, VQCT_DATA, "%s: no list of shards in JSON of at most %zu bytes",
                     reader->path, INDEX_MAX);
  reader->shard = calloc(json_array_size(reader->shards) + 1, sizeof *reader->shard);
  return reader->shard ? VQCT_OK : no_memory(reader, error);
}

static enum vqct_status mds_open(const struct token_set *set, struct token_reader **result,
                                 struct vqct_error *error) {
  struct token_reader *reader = calloc(1, sizeof *reader);
  *result = NULL;
  if (!reader)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", set->path);
  reader->set = set;
  enum vqct_status status =
      set->type == TENSOR_U16
          ? read_index(reader, error)
          : error_set(error, VQCT_DATA, "%s: its .jsonl tells of uint32, which it does not hold",
                      set->path);
  if (status != VQCT_OK)
    mds_close(reader);
  else
    *result = reader;
  return status;
}

/* ---- shards ---------------------------------------------------------------------------------- */

/* The columns must be those that end with the tokens. False where they are not. */
static bool read_columns(const json_t *entry, struct samples *shard) {
  const json_t *names = json_object_get(entry, "column_names");
  const json_t *sizes = json_object_get(entry, "column_sizes");
  const json_t *kinds = json_object_get(entry, "column_encodings");
  size_t columns = json_array_size(names), last = columns ? columns - 1 : 0;
  const char *name = json_string_value(json_array_get(names, last));
  const char *kind = json_string_value(json_array_get(kinds, last));
  if (!name || !kind || strcmp(name, COLUMN) || strcmp(kind, ENCODING) ||
      json_array_size(sizes) != columns || !json_is_null(json_array_get(sizes, last)))
    return false;
  for (size_t i = 0; i < columns; i++)
    shard->varying += json_is_null(json_array_get(sizes, i));
  return true;
}

/* The file must hold as many samples as the index says. */
static enum vqct_status check_count(const struct token_reader *reader, const json_t *entry,
                                    struct samples *shard, struct vqct_error *error) {
  json_int_t count = json_integer_value(json_object_get(entry, "samples"));
  uint64_t size = shard->mapped.size / sizeof(uint32_t);
  uint64_t there = size ? little_endian_read(shard->mapped.data) : 0;
  if (count < 0 || (uint64_t)count != there || (uint64_t)count + 2 > size)
    return error_set(error, VQCT_TOKENS,
                     "%s: the index tells of %lld samples, and the file of %llu in %zu bytes",
                     reader->path, (long long)count, (unsigned long long)there, shard->mapped.size);
  shard->count = (size_t)count;
  return VQCT_OK;
}

static enum vqct_status open_next(struct token_reader *reader, struct vqct_error *error) {
  const json_t *entry = json_array_get(reader->shards, reader->opened);
  const char *name =
      json_string_value(json_object_get(json_object_get(entry, "raw_data"), "basename"));
  struct samples *shard = &reader->shard[reader->opened];
  enum vqct_status status;
  if (!name || !name[0] || strchr(name, '/') || !read_columns(entry, shard))
    return error_set(error, VQCT_DATA,
                     "%s/index.json: shard %zu: no file of samples whose last column is " COLUMN
                     ", " ENCODING,
                     reader->set->path, reader->opened);
  if ((status = set_path(reader, name, error)) ||
      (status = mapped_file_open(reader->path, &shard->mapped, error)))
    return status;
  reader->opened++;
  reader->next = 0;
  return check_count(reader, entry, shard, error);
}

/* ---- samples --------------------------------------------------------------------------------- */

/* The shape that an array begins with; its bytes, or 0 where it is not that of the line. */
static size_t head_size(const struct token_set *set, const struct token_line *line,
                        const unsigned char *data, size_t size) {
  size_t shape[3], dims, side;
  dims = (size_t)token_layout_shape(&set->layout, set->planes, line->height, line->width, shape);
  side = size && (data[0] & 3) < 3 ? (size_t)1 << (data[0] & 3) : 0;
  if (!side || data[0] >> 2 != (int)dims || size < 1 + dims * side)
    return 0;
  for (size_t i = 0; i < dims; i++) {
    uint64_t value = 0;
    for (size_t byte = 0; byte < side; byte++)
      value |= (uint64_t)data[1 + i * side + byte] << 8 * byte;
    if (value != shape[i])
      return 0;
  }
  return 1 + dims * side;
}

/* Sample `index` of a shard; false where it is not within the file. */
static bool find_sample(const struct samples *shard, size_t index, struct token_bytes *sample) {
  const unsigned char *entry = shard->mapped.data + sizeof(uint32_t) * (index + 1);
  size_t begin = little_endian_read(entry), end = little_endian_read(entry + sizeof(uint32_t));
  if (begin > end || end > shard->mapped.size)
    return false;
  *sample = (struct token_bytes){shard->mapped.data + begin, end - begin};
  return true;
}

/* Its last column, which fills the sample to its end. */
static bool find_column(const struct samples *shard, struct token_bytes *sample) {
  size_t heads = shard->varying * sizeof(uint32_t);
  if (sample->size < heads)
    return false;
  size_t size = little_endian_read(sample->data + heads - sizeof(uint32_t));
  if (size > sample->size - heads)
    return false;
  *sample = (struct token_bytes){sample->data + sample->size - size, size};
  return true;
}

static enum vqct_status mds_find(struct token_reader *reader, const struct token_line *line,
                                 struct token_bytes *bytes, struct vqct_error *error) {
  while (!reader->opened || reader->next == reader->shard[reader->opened - 1].count) {
    if (reader->opened == json_array_size(reader->shards))
      return error_set(error, VQCT_TOKENS,
                       "%s/index.json: it does not hold picture %zu, of which the .jsonl tells",
                       reader->set->path, line->row);
    enum vqct_status status = open_next(reader, error);
    if (status != VQCT_OK)
      return status;
  }
  const struct samples *shard = &reader->shard[reader->opened - 1];
  size_t index = reader->next++, head = 0;
  if (find_sample(shard, index, bytes) && find_column(shard, bytes))
    head = head_size(reader->set, line, bytes->data, bytes->size);
  if (!head || (bytes->size - head) != line->numbers * sizeof(uint16_t))
    return error_set(error, VQCT_TOKENS,
                     "%s: sample %zu: it does not hold the tokens of picture %zu, of which the "
                     ".jsonl tells",
                     reader->path, index, line->row);
  bytes->data += head;
  bytes->size -= head;
  return VQCT_OK;
}

const struct token_reading token_reading_mds = {
    .open = mds_open, .find = mds_find, .close = mds_close};
