/* NAME.npy and NAME.bin: the pictures' numbers one after the other in one file. They differ in the
 * header alone, whose place is kept free until the number of pictures is known. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "npy.h"
#include "token_format.h"
#include "token_numbers.h"

struct token_files {
  struct token_output output;
  struct part_file part;
  uint64_t header; /* bytes before the first number */
  uint64_t found;  /* bytes that an earlier run left */
  size_t pictures;
  struct token_numbers numbers;
};

static void array_close(struct token_files *files, enum part_end end) {
  if (!files)
    return;
  part_file_close(&files->part, end);
  token_numbers_free(&files->numbers);
  free(files);
}

static enum vqct_status array_open(const struct token_output *output, uint64_t header,
                                   struct token_files **result, struct vqct_error *error) {
  enum vqct_status status;
  *result = NULL;
  struct token_files *files = calloc(1, sizeof *files);
  if (!files)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  files->output = *output;
  files->header = header;
  if ((status = part_file_open(&files->part, strdup(output->path), error)) ||
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
  return array_open(output, NPY_HEADER_SIZE, files, error);
}

static enum vqct_status bin_files_open(const struct token_output *output,
                                       struct token_files **files, struct vqct_error *error) {
  return array_open(output, 0, files, error);
}

static bool array_recount(struct token_files *files, const json_t *record, uint64_t numbers) {
  uint64_t bytes = numbers * token_number_size(files->output.wide);
  (void)record;
  if (files->found < files->part.size || bytes > files->found - files->part.size)
    return false;
  files->part.size += bytes;
  files->pictures++;
  return true;
}

static enum vqct_status array_cut(struct token_files *files, struct vqct_error *error) {
  return part_file_cut(&files->part, files->part.size, error);
}

static enum vqct_status array_append(struct token_files *files, const struct token_picture *picture,
                                     json_t *record, struct vqct_error *error) {
  const struct token_output *output = &files->output;
  uint64_t offset = files->part.size - files->header;
  enum vqct_status status =
      token_numbers_pack(&files->numbers, picture->tokens,
                         output->planes * picture->height * picture->width, output->wide, error);
  if (status != VQCT_OK)
    return status;
  if (json_object_set_new(record, "offset", json_integer((json_int_t)offset)) != 0)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  status = part_file_append(&files->part, files->numbers.bytes, files->numbers.size, error);
  if (status != VQCT_OK)
    return status;
  files->pictures++;
  return VQCT_OK;
}

static enum vqct_status npy_files_finish(struct token_files *files, struct vqct_error *error) {
  const struct token_output *output = &files->output;
  char header[NPY_HEADER_SIZE];
  size_t shape[4] = {files->pictures, output->planes, output->grid_height, output->grid_width};
  npy_header(output->wide ? TENSOR_U32 : TENSOR_U16, 4, shape, header);
  enum vqct_status status = part_file_write_at(&files->part, header, sizeof header, 0, error);
  return status == VQCT_OK ? part_file_finish(&files->part, error) : status;
}

static enum vqct_status bin_files_finish(struct token_files *files, struct vqct_error *error) {
  return part_file_finish(&files->part, error);
}

const struct token_format token_format_npy = {.suffix = ".npy",
                                              .one_size = true,
                                              .open = npy_files_open,
                                              .recount = array_recount,
                                              .cut = array_cut,
                                              .append = array_append,
                                              .finish = npy_files_finish,
                                              .close = array_close};

const struct token_format token_format_bin = {.suffix = ".bin",
                                              .open = bin_files_open,
                                              .recount = array_recount,
                                              .cut = array_cut,
                                              .append = array_append,
                                              .finish = bin_files_finish,
                                              .close = array_close};
