/* MosaicML Streaming's folder NAME.mds: shard.00000.mds, shard.00001.mds, ... and index.json.
 *
 * A shard is u32 samples; u32 samples + 1 places of the samples in the file; what the columns are,
 * as JSON; and the samples. Room for the places of a full shard is kept free, so that one can grow:
 * the last shard's samples begin behind a gap. A sample is u32 sizes of its columns that have no
 * fixed size, and the columns in the order of their names:
 *
 *   class   int, 8 bytes        where pictures have labels
 *   label   str, in UTF-8       where they have
 *   tokens  ndarray:uint16      a byte of dimensions * 4 + log2 of the bytes of a side, the sides,
 *                               the numbers
 *
 * All little-endian. index.json comes last: where it is, the shards are its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomic_file.h"
#include "error.h"
#include "little_endian.h"
#include "text.h"
#include "token_format.h"
#include "token_numbers.h"
#include "token_record.h"
#include "token_shards.h"

#define SUFFIX "mds"

struct token_files {
  struct token_output output;
  bool made; /* the folder, by this run */
  struct token_shards shards;
  char *columns; /* what they are, as JSON */
  struct token_numbers numbers;
  struct text sample; /* memory that is used again */
};

/* ---- what the columns are -------------------------------------------------------------------- */

static json_t *columns_json(bool labels) {
  json_t *record = json_pack("{s:n, s:s, s:[], s:n, s:i}", "compression", "format", "mds", "hashes",
                             "size_limit", "version", 2);
  json_t *columns = labels ? json_pack("{s:[s,s,s], s:[s,s,s], s:[i,n,n]}", "column_names", "class",
                                       "label", "tokens", "column_encodings", "int", "str",
                                       "ndarray:uint16", "column_sizes", 8)
                           : json_pack("{s:[s], s:[s], s:[n]}", "column_names", "tokens",
                                       "column_encodings", "ndarray:uint16", "column_sizes");
  if (!record || !columns || json_object_update(record, columns) != 0) {
    json_decref(record);
    record = NULL;
  }
  json_decref(columns);
  return record;
}

static char *columns_text(bool labels) {
  json_t *record = columns_json(labels);
  char *text = record ? json_dumps(record, JSON_SORT_KEYS | JSON_ENSURE_ASCII) : NULL;
  json_decref(record);
  return text;
}

/* ---- opening and going on -------------------------------------------------------------------- */

static char *path_in(const struct token_output *output, const char *name) {
  size_t size = strlen(output->path) + strlen(name) + 2;
  char *path = malloc(size);
  if (path)
    snprintf(path, size, "%s/%s", output->path, name);
  return path;
}

static void mds_close(struct token_files *files, enum part_end end) {
  if (!files)
    return;
  token_shards_close(&files->shards, end);
  if (files->made)
    rmdir(files->output.path); /* it stays where something is in it */
  token_numbers_free(&files->numbers);
  text_free(&files->sample);
  free(files->columns);
  free(files);
}

static enum vqct_status make_folder(struct token_files *files, struct vqct_error *error) {
  files->made = mkdir(files->output.path, 0777) == 0;
  return files->made || errno == EEXIST
             ? VQCT_OK
             : error_set(error, VQCT_WRITE, "%s: %s", files->output.path, strerror(errno));
}

static enum vqct_status mds_open(const struct token_output *output, struct token_files **result,
                                 struct vqct_error *error) {
  enum vqct_status status;
  *result = NULL;
  struct token_files *files = calloc(1, sizeof *files);
  if (!files)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  files->output = *output;
  files->columns = columns_text(output->labels);
  size_t room = files->columns ? strlen(files->columns) : 0;
  files->shards = (struct token_shards){
      .prefix = path_in(output, "shard."),
      .digits = 5,
      .suffix = "." SUFFIX,
      .each = output->shard_size * output->views,
      .header = sizeof(uint32_t) * (output->shard_size * output->views + 2) + room,
      .part = PART_FILE_CLOSED};
  status = files->columns ? make_folder(files, error)
                          : error_set(error, VQCT_MEMORY, "no memory to write tokens");
  if (status || (status = token_shards_open(&files->shards, error))) {
    mds_close(files, PART_AS_FOUND);
    return status;
  }
  *result = files;
  return VQCT_OK;
}

static bool mds_recount(struct token_files *files, const json_t *record, uint64_t numbers) {
  json_int_t end = json_integer_value(json_object_get(record, "end"));
  return token_shards_recount(&files->shards, end, numbers * sizeof(uint16_t));
}

static enum vqct_status mds_cut(struct token_files *files, struct vqct_error *error) {
  return token_shards_cut(&files->shards, error);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Number `entry` of those that a shard begins with: samples, and the places of them. */
static enum vqct_status write_entry(struct token_files *files, size_t entry, uint64_t value,
                                    struct vqct_error *error) {
  unsigned char bytes[sizeof(uint32_t)];
  little_endian_write(bytes, (uint32_t)value);
  return part_file_write_at(&files->shards.part, bytes, sizeof bytes, entry * sizeof bytes, error);
}

/* The shard in hand, whole but for its name. */
static enum vqct_status end_shard(struct token_files *files, struct vqct_error *error) {
  size_t samples = token_shards_filled(&files->shards);
  enum vqct_status status;
  if ((status = write_entry(files, 0, samples, error)) ||
      (!samples && (status = write_entry(files, 1, files->shards.header, error))))
    return status;
  return part_file_write_at(&files->shards.part, files->columns, strlen(files->columns),
                            sizeof(uint32_t) * (samples + 2), error);
}

/* Dimensions and sides of an array, in as many bytes a side as the longest needs. */
static size_t array_head(const struct token_output *o, const struct token_picture *picture,
                         unsigned char head[1 + 3 * sizeof(uint32_t)]) {
  size_t shape[3], longest = 0, at = 0;
  int dims = token_layout_shape(&o->layout, o->planes, picture->height, picture->width, shape);
  for (int i = 0; i < dims; i++)
    longest = shape[i] > longest ? shape[i] : longest;
  unsigned kind = longest <= UINT8_MAX ? 0 : longest <= UINT16_MAX ? 1 : 2;
  head[at++] = (unsigned char)((unsigned)dims << 2 | kind);
  for (int i = 0; i < dims; i++)
    for (unsigned byte = 0; byte < 1U << kind; byte++)
      head[at++] = (unsigned char)(shape[i] >> 8 * byte);
  return at;
}

static void add_label(struct text *sample, size_t class_index, const char *label) {
  text_add_u32(sample, (uint32_t)class_index);
  text_add_u32(sample, 0);
  text_add(sample, label, strlen(label));
}

static enum vqct_status make_sample(struct token_files *files, const struct token_picture *picture,
                                    struct vqct_error *error) {
  unsigned char head[1 + 3 * sizeof(uint32_t)];
  struct text *sample = &files->sample;
  size_t length = array_head(&files->output, picture, head);
  enum vqct_status status =
      token_numbers_pack(&files->numbers, picture->numbers, picture->count, false, error);
  if (status != VQCT_OK)
    return status;
  json_t *label = picture->label ? token_record_text(picture->label) : NULL;
  sample->size = 0;
  if (label)
    text_add_u32(sample, (uint32_t)json_string_length(label));
  text_add_u32(sample, (uint32_t)(length + files->numbers.size));
  if (label)
    add_label(sample, picture->class_index, json_string_value(label));
  text_add(sample, head, length);
  text_add(sample, files->numbers.bytes, files->numbers.size);
  bool whole = !sample->failed && (label || !picture->label);
  json_decref(label);
  return whole ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory to write tokens");
}

/* Errors: LIMIT. */
static enum vqct_status check_place(const struct token_files *files, struct vqct_error *error) {
  if (files->shards.part.size + files->sample.size <= UINT32_MAX)
    return VQCT_OK;
  return error_set(error, VQCT_LIMIT,
                   "%s: shard %zu would be larger than 4 GiB with %zu pictures; a smaller "
                   "--shard-size is needed",
                   files->output.path, token_shards_number(&files->shards), files->shards.each);
}

static enum vqct_status mds_append(struct token_files *files, const struct token_picture *picture,
                                   json_t *record, struct vqct_error *error) {
  struct token_shards *shards = &files->shards;
  enum vqct_status status;
  if (token_shards_filled(shards) == shards->each &&
      ((status = end_shard(files, error)) || (status = token_shards_next(shards, error))))
    return status;
  if ((status = make_sample(files, picture, error)) || (status = check_place(files, error)))
    return status;
  uint64_t begin = shards->part.size;
  if ((status = part_file_append(&shards->part, files->sample.data, files->sample.size, error)))
    return status;
  shards->pictures++;
  size_t sample = token_shards_filled(shards);
  if ((status = write_entry(files, sample, begin, error)) ||
      (status = write_entry(files, sample + 1, shards->part.size, error)))
    return status;
  if (json_object_set_new(record, "end", json_integer((json_int_t)shards->part.size)) != 0)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  return VQCT_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* One shard of the index. */
static json_t *shard_json(const struct token_files *files, size_t number) {
  char name[40];
  struct stat facts;
  const struct token_shards *shards = &files->shards;
  size_t last = token_shards_number(shards);
  snprintf(name, sizeof name, "shard.%05zu." SUFFIX, number);
  char *path = path_in(&files->output, name);
  bool there = path && stat(path, &facts) == 0;
  free(path);
  json_t *record = there ? columns_json(files->output.labels) : NULL;
  json_t *rest = json_pack("{s:{s:s, s:I, s:{}}, s:I, s:n}", "raw_data", "basename", name, "bytes",
                           there ? (json_int_t)facts.st_size : 0, "hashes", "samples",
                           (json_int_t)(number < last ? shards->each : token_shards_filled(shards)),
                           "zip_data");
  if (record && (!rest || json_object_update(record, rest) != 0)) {
    json_decref(record);
    record = NULL;
  }
  json_decref(rest);
  return record;
}

static char *index_text(const struct token_files *files) {
  json_t *list = json_array();
  bool whole = list;
  for (size_t i = 0; whole && i <= token_shards_number(&files->shards); i++)
    whole = json_array_append_new(list, shard_json(files, i)) == 0;
  json_t *index = json_pack("{s:i, s:o?}", "version", 2, "shards", list);
  char *text = whole && index ? json_dumps(index, JSON_SORT_KEYS | JSON_ENSURE_ASCII) : NULL;
  json_decref(index);
  return text;
}

static enum vqct_status save_index(const struct token_files *files, const char *path,
                                   struct vqct_error *error) {
  char *text = index_text(files);
  enum vqct_status status = text ? atomic_file_save(path, text, strlen(text), error)
                                 : error_set(error, VQCT_WRITE, "%s: its shards are gone", path);
  free(text);
  return status;
}

static enum vqct_status mds_finish(struct token_files *files, struct vqct_error *error) {
  char *index = path_in(&files->output, "index.json");
  if (!index)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  enum vqct_status status = end_shard(files, error);
  if (status != VQCT_OK)
    goto done;
  unlink(index); /* of shards that are about to change */
  status = token_shards_finish(&files->shards, error);
  if (status != VQCT_OK)
    goto done;
  status = save_index(files, index, error);
done:
  free(index);
  return status;
}

const struct token_format token_format_mds = {
    .name = "mds",
    .suffix = "." SUFFIX,
    .sharded = true,
    .widest = UINT16_MAX,
    .open = mds_open,
    .recount = mds_recount,
    .cut = mds_cut,
    .append = mds_append,
    .finish = mds_finish,
    .close = mds_close,
    .reading = &token_reading_mds,
};
