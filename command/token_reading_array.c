/* Numbers in one file, or in one of each size: NAME.npy, .bin and .ds, and NAME.bin of NAME.idx. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "mapped_file.h"
#include "npy.h"
#include "token_index.h"
#include "token_name.h"
#include "token_reading.h"
#include "views.h"

#define BUCKET_SIZE 24 /* of "65535x65535" */

/* The numbers of one file. */
struct numbers {
  char bucket[BUCKET_SIZE]; /* "" where there is one file */
  char *path;               /* owned */
  struct npy npy;           /* .npy, or */
  struct mapped_file mapped;
  struct token_bytes bytes;
};

struct token_reader {
  const struct token_set *set;
  struct numbers file[VIEWS_SIZES_MAX];
  size_t files;
};

static enum vqct_status array_open(const struct token_set *set, struct token_reader **result,
                                   struct vqct_error *error) {
  struct token_reader *reader = calloc(1, sizeof *reader);
  *result = reader;
  if (!reader)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", set->path);
  reader->set = set;
  return VQCT_OK;
}

static void array_close(struct token_reader *reader) {
  if (!reader)
    return;
  for (size_t i = 0; i < reader->files; i++) {
    npy_close(&reader->file[i].npy);
    mapped_file_close(&reader->file[i].mapped);
    free(reader->file[i].path);
  }
  free(reader);
}

static enum vqct_status open_npy(const struct token_set *set, struct numbers *file,
                                 struct vqct_error *error) {
  enum vqct_status status = npy_open(file->path, &file->npy, error);
  const struct tensor *tensor = &file->npy.tensor;
  if (status != VQCT_OK)
    return status;
  file->bytes = (struct token_bytes){tensor->data, tensor->count * tensor_type_size(tensor->type)};
  if (tensor->type == set->type)
    return VQCT_OK;
  return error_set(error, VQCT_TOKENS, "%s: its numbers are %s, and its .jsonl tells of %s",
                   file->path, tensor_type_name(tensor->type), tensor_type_name(set->type));
}

/* The index beside a file of numbers, of a format that has one. */
static enum vqct_status check_index(const struct token_set *set, const char *suffix,
                                    const struct numbers *file, struct vqct_error *error) {
  bool wide = set->type == TENSOR_U32;
  if (!strcmp(suffix, ".ds"))
    return token_index_check_datatrove(file->path, file->bytes.size, wide, error);
  if (strcmp(suffix, ".idx") != 0)
    return VQCT_OK;
  char *path = token_name_beside(file->path, strlen(file->path) - strlen(".bin"), suffix);
  enum vqct_status status =
      path ? token_index_check_megatron(path, file->bytes.size, wide, error)
           : error_set(error, VQCT_MEMORY, "%s: memory is exhausted", set->path);
  free(path);
  return status;
}

static enum vqct_status open_file(const struct token_set *set, const char *bucket,
                                  struct numbers *file, struct vqct_error *error) {
  const char *suffix = strrchr(set->path, '.');
  bool is_npy = !strcmp(suffix, ".npy");
  char ending[BUCKET_SIZE + 8];
  snprintf(file->bucket, sizeof file->bucket, "%s", bucket);
  snprintf(ending, sizeof ending, "%s%s%s", bucket[0] ? "-" : "", bucket,
           strcmp(suffix, ".idx") ? suffix : ".bin");
  file->path = token_name_beside(set->path, (size_t)(suffix - set->path), ending);
  if (!file->path)
    return error_set(error, VQCT_MEMORY, "%s: memory is exhausted", set->path);
  if (is_npy)
    return open_npy(set, file, error);
  enum vqct_status status = mapped_file_open(file->path, &file->mapped, error);
  file->bytes = (struct token_bytes){file->mapped.data, file->mapped.size};
  return status == VQCT_OK ? check_index(set, suffix, file, error) : status;
}

/* "320x192" of a line, or "" where it names none; NULL where it is no such name. */
static const char *bucket_of(const json_t *record, char name[BUCKET_SIZE]) {
  const json_t *bucket = json_object_get(record, "bucket");
  const char *text = json_string_value(bucket);
  uint32_t width, height;
  name[0] = 0;
  if (!bucket)
    return name;
  if (!text || sscanf(text, "%5" SCNu32 "x%5" SCNu32, &width, &height) != 2)
    return NULL;
  snprintf(name, BUCKET_SIZE, "%" PRIu32 "x%" PRIu32, width, height);
  return strcmp(name, text) ? NULL : name;
}

static enum vqct_status find_file(struct token_reader *reader, const struct token_line *line,
                                  struct numbers **file, struct vqct_error *error) {
  char name[BUCKET_SIZE];
  if (!bucket_of(line->record, name))
    return error_set(error, VQCT_DATA, "%s: its .jsonl has a \"bucket\" that is none",
                     reader->set->path);
  for (size_t i = 0; i < reader->files; i++) {
    *file = &reader->file[i];
    if (strcmp(reader->file[i].bucket, name) == 0)
      return VQCT_OK;
  }
  if (reader->files == VIEWS_SIZES_MAX)
    return error_set(error, VQCT_DATA, "%s: its .jsonl has more than %d buckets", reader->set->path,
                     VIEWS_SIZES_MAX);
  *file = &reader->file[reader->files++];
  return open_file(reader->set, name, *file, error);
}

static enum vqct_status array_find(struct token_reader *reader, const struct token_line *line,
                                   struct token_bytes *bytes, struct vqct_error *error) {
  struct numbers *file = NULL;
  enum vqct_status status = find_file(reader, line, &file, error);
  if (status != VQCT_OK)
    return status;
  json_int_t offset = json_integer_value(json_object_get(line->record, "offset"));
  uint64_t size = line->numbers * tensor_type_size(reader->set->type);
  if (offset < 0)
    return error_set(error, VQCT_DATA, "%s: its .jsonl has an \"offset\" that is none", file->path);
  if ((uint64_t)offset > file->bytes.size || size > file->bytes.size - (uint64_t)offset)
    return error_set(error, VQCT_TOKENS,
                     "%s: %zu bytes; the tokens of picture %zu end at byte %llu", file->path,
                     file->bytes.size, line->row, (unsigned long long)offset + size);
  *bytes = (struct token_bytes){file->bytes.data + offset, (size_t)size};
  return VQCT_OK;
}

const struct token_reading token_reading_array = {
    .open = array_open, .find = array_find, .close = array_close};
