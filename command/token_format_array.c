/* The pictures' numbers one after the other in one file: NAME.npy, whose header's place is kept
 * free until the number of pictures is known, NAME.bin without a header, and that with an index
 * beside it (token_index.h). */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "npy.h"
#include "token_format.h"
#include "token_index.h"
#include "token_numbers.h"

struct token_files {
  struct token_output output;
  struct part_file part;
  uint64_t header; /* bytes before the first number */
  uint64_t found;  /* bytes that an earlier run left */
  struct token_numbers numbers;
  struct token_lengths lengths;
};

static void array_close(struct token_files *files, enum part_end end) {
  if (!files)
    return;
  part_file_close(&files->part, end);
  token_numbers_free(&files->numbers);
  token_lengths_free(&files->lengths);
  free(files);
}

/* Opens the array at `path`, from malloc, which may be NULL. */
static enum vqct_status array_open(const struct token_output *output, char *path, uint64_t header,
                                   struct token_files **result, struct vqct_error *error) {
  enum vqct_status status;
  *result = NULL;
  struct token_files *files = calloc(1, sizeof *files);
  if (!files) {
    free(path);
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  }
  files->output = *output;
  files->header = header;
  if ((status = part_file_open(&files->part, path, error)) ||
      (status = part_file_found(&files->part, &files->found, error))) {
    array_close(files, PART_AS_FOUND);
    return status;
  }
  files->part.size = header;
  *result = files;
  return VQCT_OK;
}

static enum vqct_status npy_files_open(const struct token_output *output,
                                       struct token_files **files, struct vqct_error *error) {
  return array_open(output, strdup(output->path), NPY_HEADER_SIZE, files, error);
}

static enum vqct_status bin_files_open(const struct token_output *output,
                                       struct token_files **files, struct vqct_error *error) {
  return array_open(output, strdup(output->path), 0, files, error);
}

/* The numbers of NAME.idx are NAME.bin. */
static enum vqct_status megatron_files_open(const struct token_output *output,
                                            struct token_files **files, struct vqct_error *error) {
  char *path = strdup(output->path);
  if (path)
    memcpy(path + strlen(path) - strlen(".idx"), ".bin", strlen(".bin"));
  return array_open(output, path, 0, files, error);
}

static bool array_recount(struct token_files *files, const json_t *record, uint64_t numbers) {
  uint64_t bytes = numbers * token_number_size(files->output.wide);
  (void)record;
  if (files->found < files->part.size || bytes > files->found - files->part.size ||
      token_lengths_add(&files->lengths, numbers, NULL) != VQCT_OK)
    return false;
  files->part.size += bytes;
  return true;
}

static enum vqct_status array_cut(struct token_files *files, struct vqct_error *error) {
  return part_file_cut(&files->part, files->part.size, error);
}

static enum vqct_status array_append(struct token_files *files, const struct token_picture *picture,
                                     json_t *record, struct vqct_error *error) {
  uint64_t offset = files->part.size - files->header;
  enum vqct_status status;
  if ((status = token_numbers_pack(&files->numbers, picture->numbers, picture->count,
                                   files->output.wide, error)))
    return status;
  if (json_object_set_new(record, "offset", json_integer((json_int_t)offset)) != 0)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  if ((status = part_file_append(&files->part, files->numbers.bytes, files->numbers.size, error)))
    return status;
  return token_lengths_add(&files->lengths, picture->count, error);
}

static enum vqct_status npy_files_finish(struct token_files *files, struct vqct_error *error) {
  char header[NPY_HEADER_SIZE];
  const struct token_output *o = &files->output;
  size_t shape[4] = {files->lengths.count};
  int dims =
      1 + token_layout_shape(&o->layout, o->planes, o->grid_height, o->grid_width, shape + 1);
  npy_header(o->wide ? TENSOR_U32 : TENSOR_U16, dims, shape, header);
  enum vqct_status status = part_file_write_at(&files->part, header, sizeof header, 0, error);
  return status == VQCT_OK ? part_file_finish(&files->part, error) : status;
}

static enum vqct_status bin_files_finish(struct token_files *files, struct vqct_error *error) {
  return part_file_finish(&files->part, error);
}

/* The index last: where it is, it is of these numbers. */
static enum vqct_status megatron_files_finish(struct token_files *files, struct vqct_error *error) {
  token_index_drop(files->output.path, "");
  enum vqct_status status = part_file_finish(&files->part, error);
  return status == VQCT_OK ? token_index_megatron(files->output.path, &files->lengths,
                                                  files->output.views, files->output.wide, error)
                           : status;
}

static enum vqct_status datatrove_files_finish(struct token_files *files,
                                               struct vqct_error *error) {
  token_index_drop(files->output.path, ".index");
  enum vqct_status status = part_file_finish(&files->part, error);
  return status == VQCT_OK
             ? token_index_datatrove(files->output.path, &files->lengths, files->output.wide, error)
             : status;
}

#define ARRAY                                                                                      \
  .array = true, .recount = array_recount, .cut = array_cut, .append = array_append,               \
  .close = array_close

const struct token_format token_format_npy = {
    ARRAY,
    .suffix = ".npy",
    .one_size = true,
    .widest = UINT32_MAX,
    .open = npy_files_open,
    .finish = npy_files_finish,
};

const struct token_format token_format_bin = {
    ARRAY,
    .suffix = ".bin",
    .widest = UINT32_MAX,
    .open = bin_files_open,
    .finish = bin_files_finish,
};

const struct token_format token_format_megatron = {
    ARRAY,
    .suffix = ".idx",
    .widest = INT32_MAX,
    .open = megatron_files_open,
    .finish = megatron_files_finish,
};

const struct token_format token_format_datatrove = {
    ARRAY,
    .suffix = ".ds",
    .widest = UINT32_MAX,
    .open = bin_files_open,
    .finish = datatrove_files_finish,
};
