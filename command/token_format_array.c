/* The pictures' numbers one after the other in one file: NAME.npy, whose header's place is kept
 * free until the number of pictures is known, NAME.bin without a header, and that with an index
 * beside it (token_index.h). Where pictures have one of several sizes, those of each are a file of
 * their own, NAME-WIDTHxHEIGHT.npy, which is there where any picture has it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "npy.h"
#include "token_array.h"
#include "token_format.h"
#include "token_name.h"
#include "token_numbers.h"

#define BUCKET_SIZE 24 /* of "65535x65535" */

/* The pictures of one size, or all. */
struct bucket {
  char name[BUCKET_SIZE];         /* "320x192", or "" where there is but one */
  size_t grid_height, grid_width; /* of its pictures, tokens */
  char *path;                     /* owned: NAME-320x192.idx, of which the array may be .bin */
  struct token_array array;
};

struct token_files {
  struct token_output output;
  struct token_numbers numbers;
  struct bucket *bucket;
  size_t buckets;
};

/* ---- opening and going on -------------------------------------------------------------------- */

static void array_close(struct token_files *files, enum part_end end) {
  if (!files)
    return;
  for (size_t i = 0; i < files->buckets; i++) {
    token_array_close(&files->bucket[i].array, end);
    free(files->bucket[i].path);
  }
  free(files->bucket);
  token_numbers_free(&files->numbers);
  free(files);
}

/* What is known of a bucket before its file is opened. */
static enum vqct_status name_bucket(const struct token_output *output, const char *suffix, size_t i,
                                    struct bucket *bucket, struct vqct_error *error) {
  size_t stem = strlen(output->path) - (output->stream ? 0 : strlen(suffix));
  char ending[BUCKET_SIZE + 16];
  *bucket = (struct bucket){.grid_height = output->grid_height,
                            .grid_width = output->grid_width,
                            .array.part = PART_FILE_CLOSED};
  if (output->buckets) {
    const struct views_size *size = &output->bucket[i];
    snprintf(bucket->name, sizeof bucket->name, "%" PRIu32 "x%" PRIu32, size->width, size->height);
    bucket->grid_height = size->height / output->downsampling;
    bucket->grid_width = size->width / output->downsampling;
  }
  snprintf(ending, sizeof ending, "%s%s%s", bucket->name[0] ? "-" : "", bucket->name, suffix);
  bucket->path = token_name_beside(output->path, stem, ending);
  return bucket->path ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory to write tokens");
}

/* Opens the array of each bucket, whose path ends in `array` in place of `suffix`. */
static enum vqct_status open_buckets(struct token_files *files, const char *suffix,
                                     const char *array, uint64_t header, struct vqct_error *error) {
  size_t wanted = files->output.buckets ? files->output.buckets : 1;
  enum vqct_status status = VQCT_OK;
  if (!(files->bucket = calloc(wanted, sizeof *files->bucket)))
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  for (size_t i = 0; i < wanted && status == VQCT_OK; i++) {
    struct bucket *bucket = &files->bucket[i];
    status = name_bucket(&files->output, suffix, i, bucket, error);
    files->buckets = i + 1;
    if (status != VQCT_OK)
      return status;
    size_t stem = strlen(bucket->path) - strlen(suffix);
    status = files->output.stream
                 ? token_array_open_output(&bucket->array, header, error)
                 : token_array_open(&bucket->array, token_name_beside(bucket->path, stem, array),
                                    header, error);
  }
  return status;
}

static enum vqct_status array_open(const struct token_output *output, const char *suffix,
                                   const char *array, uint64_t header, struct token_files **result,
                                   struct vqct_error *error) {
  *result = NULL;
  struct token_files *files = calloc(1, sizeof *files);
  if (!files)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  files->output = *output;
  enum vqct_status status = open_buckets(files, suffix, array, header, error);
  if (status != VQCT_OK) {
    array_close(files, PART_AS_FOUND);
    return status;
  }
  *result = files;
  return VQCT_OK;
}

static enum vqct_status npy_files_open(const struct token_output *output,
                                       struct token_files **files, struct vqct_error *error) {
  return array_open(output, ".npy", ".npy", NPY_HEADER_SIZE, files, error);
}

static enum vqct_status bin_files_open(const struct token_output *output,
                                       struct token_files **files, struct vqct_error *error) {
  return array_open(output, ".bin", ".bin", 0, files, error);
}

/* The numbers of NAME.idx are NAME.bin. */
static enum vqct_status megatron_files_open(const struct token_output *output,
                                            struct token_files **files, struct vqct_error *error) {
  return array_open(output, ".idx", ".bin", 0, files, error);
}

static enum vqct_status datatrove_files_open(const struct token_output *output,
                                             struct token_files **files, struct vqct_error *error) {
  return array_open(output, ".ds", ".ds", 0, files, error);
}

/* The bucket of a grid; NULL where none has it. */
static struct bucket *bucket_of(struct token_files *files, size_t height, size_t width) {
  if (!files->output.buckets)
    return &files->bucket[0];
  for (size_t i = 0; i < files->buckets; i++)
    if (files->bucket[i].grid_height == height && files->bucket[i].grid_width == width)
      return &files->bucket[i];
  return NULL;
}

static bool array_recount(struct token_files *files, const json_t *record, uint64_t numbers) {
  const json_t *grid = json_object_get(record, "grid");
  struct bucket *bucket = bucket_of(files, (size_t)json_integer_value(json_array_get(grid, 0)),
                                    (size_t)json_integer_value(json_array_get(grid, 1)));
  return bucket && token_array_recount(&bucket->array, numbers,
                                       numbers * token_number_size(files->output.wide));
}

static enum vqct_status array_cut(struct token_files *files, struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < files->buckets && status == VQCT_OK; i++)
    status = token_array_cut(&files->bucket[i].array, error);
  return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Which of the files a picture is in, and its place there. */
static enum vqct_status tell_bucket(const struct bucket *bucket, json_t *record,
                                    struct vqct_error *error) {
  json_int_t row = (json_int_t)bucket->array.lengths.count;
  if (bucket->name[0] && (json_object_set_new(record, "bucket", json_string(bucket->name)) != 0 ||
                          json_object_set_new(record, "bucket_row", json_integer(row)) != 0))
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  return VQCT_OK;
}

static enum vqct_status array_append(struct token_files *files, const struct token_picture *picture,
                                     json_t *record, struct vqct_error *error) {
  struct bucket *bucket = bucket_of(files, picture->height, picture->width);
  struct token_numbers *numbers = &files->numbers;
  enum vqct_status status;
  if (!bucket)
    return error_set(error, VQCT_INTERNAL, "%s: a picture of no bucket's size", picture->name);
  if ((status = tell_bucket(bucket, record, error)) ||
      (status = token_numbers_pack(numbers, picture->numbers, picture->count, files->output.wide,
                                   error)))
    return status;
  return token_array_append(&bucket->array, picture->count, numbers->bytes, numbers->size, record,
                            error);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Completes one file of at least one picture, or the only one. */
typedef enum vqct_status (*finish_bucket)(const struct token_output *output, struct bucket *bucket,
                                          struct vqct_error *error);

/* A bucket that no picture has has no file, nor one of an earlier run. */
static void drop_bucket(struct bucket *bucket) {
  static const char *const endings[] = {"", TOKEN_INDEX_DATATROVE, ".metadata"};
  if (bucket->array.part.path)
    unlink(bucket->array.part.path);
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
    token_index_drop(bucket->path, endings[i]);
  token_array_close(&bucket->array, PART_REMOVED);
}

static enum vqct_status finish_all(struct token_files *files, finish_bucket finish,
                                   struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < files->buckets && status == VQCT_OK; i++)
    if (files->output.buckets && !files->bucket[i].array.lengths.count)
      drop_bucket(&files->bucket[i]);
    else
      status = finish(&files->output, &files->bucket[i], error);
  return status;
}

static enum vqct_status finish_npy(const struct token_output *o, struct bucket *bucket,
                                   struct vqct_error *error) {
  char header[NPY_HEADER_SIZE];
  size_t shape[4] = {bucket->array.lengths.count};
  int dims = 1 + token_layout_shape(&o->layout, o->planes, bucket->grid_height, bucket->grid_width,
                                    shape + 1);
  npy_header(o->wide ? TENSOR_U32 : TENSOR_U16, dims, shape, header);
  struct part_file *part = &bucket->array.part;
  enum vqct_status status = part_file_write_at(part, header, sizeof header, 0, error);
  return status == VQCT_OK ? part_file_finish(part, error) : status;
}

static enum vqct_status finish_bin(const struct token_output *o, struct bucket *bucket,
                                   struct vqct_error *error) {
  (void)o;
  return part_file_finish(&bucket->array.part, error);
}

/* The index last: where it is, it is of these numbers. */
static enum vqct_status finish_megatron(const struct token_output *o, struct bucket *bucket,
                                        struct vqct_error *error) {
  token_index_drop(bucket->path, "");
  enum vqct_status status = part_file_finish(&bucket->array.part, error);
  return status == VQCT_OK
             ? token_index_megatron(bucket->path, &bucket->array.lengths, o->views, o->wide, error)
             : status;
}

static enum vqct_status finish_datatrove(const struct token_output *o, struct bucket *bucket,
                                         struct vqct_error *error) {
  token_index_drop(bucket->path, TOKEN_INDEX_DATATROVE);
  enum vqct_status status = part_file_finish(&bucket->array.part, error);
  return status == VQCT_OK
             ? token_index_datatrove(bucket->path, &bucket->array.lengths, o->wide, error)
             : status;
}

static enum vqct_status npy_files_finish(struct token_files *files, struct vqct_error *error) {
  return finish_all(files, finish_npy, error);
}

static enum vqct_status bin_files_finish(struct token_files *files, struct vqct_error *error) {
  return finish_all(files, finish_bin, error);
}

static enum vqct_status megatron_files_finish(struct token_files *files, struct vqct_error *error) {
  return finish_all(files, finish_megatron, error);
}

static enum vqct_status datatrove_files_finish(struct token_files *files,
                                               struct vqct_error *error) {
  return finish_all(files, finish_datatrove, error);
}

#define ARRAY                                                                                      \
  .array = true, .reading = &token_reading_array, .recount = array_recount, .cut = array_cut,      \
  .append = array_append, .close = array_close

const struct token_format token_format_npy = {
    ARRAY,
    .name = "npy",
    .suffix = ".npy",
    .stream = true,
    .one_size = true,
    .widest = UINT32_MAX,
    .open = npy_files_open,
    .finish = npy_files_finish,
};

const struct token_format token_format_bin = {
    ARRAY,
    .name = "bin",
    .suffix = ".bin",
    .stream = true,
    .widest = UINT32_MAX,
    .open = bin_files_open,
    .finish = bin_files_finish,
};

const struct token_format token_format_megatron = {
    ARRAY,
    .name = "megatron",
    .suffix = ".idx",
    .widest = INT32_MAX,
    .open = megatron_files_open,
    .finish = megatron_files_finish,
};

const struct token_format token_format_datatrove = {
    ARRAY,
    .name = "datatrove",
    .suffix = ".ds",
    .widest = UINT32_MAX,
    .open = datatrove_files_open,
    .finish = datatrove_files_finish,
};
