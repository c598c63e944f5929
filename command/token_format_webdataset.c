/* webdataset's shards NAME-000000.tar, NAME-000001.tar, ...: of each picture KEY.npy, its numbers,
 * and KEY.cls, KEY.txt and KEY.json as they lie beside it; where there is no .cls and pictures have
 * labels, KEY.cls is the class. Several views of a picture are KEY.0.npy, KEY.1.npy, ... A shard is
 * ended when the next begins. On standard output all are one archive.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "beside.h"
#include "error.h"
#include "npy.h"
#include "tar_writer.h"
#include "token_format.h"
#include "token_keys.h"
#include "token_numbers.h"
#include "token_shards.h"

#define SUFFIX      ".tar"
#define CARRIED_MAX ((uint64_t)64 << 20) /* bytes of a file that is carried along */

struct token_files {
  struct token_output output;
  struct libarchive library;
  struct beside *beside;
  struct token_shards shards;
  struct tar_writer *tar; /* of the shard in hand; NULL until something is added to it */
  struct token_numbers numbers;
};

/* ---- opening and going on -------------------------------------------------------------------- */

static void webdataset_close(struct token_files *files, enum part_end end) {
  if (!files)
    return;
  tar_writer_free(files->tar);
  token_shards_close(&files->shards, end);
  beside_close(files->beside);
  token_numbers_free(&files->numbers);
  free(files);
}

/* NAME- of NAME.tar, from malloc; NULL where memory fails. */
static char *prefix(const char *path) {
  char *name = strdup(path);
  if (name)
    memcpy(name + strlen(path) - strlen(SUFFIX), "-", sizeof "-");
  return name;
}

static enum vqct_status webdataset_open(const struct token_output *output,
                                        struct token_files **result, struct vqct_error *error) {
  enum vqct_status status;
  *result = NULL;
  struct token_files *files = calloc(1, sizeof *files);
  if (!files)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  files->output = *output;
  files->shards =
      (struct token_shards){.stream = output->stream,
                            .prefix = output->stream ? NULL : prefix(output->path),
                            .digits = 6,
                            .suffix = SUFFIX,
                            .each = output->stream ? SIZE_MAX : output->shard_size * output->views,
                            .part = PART_FILE_CLOSED};
  if ((status = token_keys_check(output->pictures, error)) ||
      (status = libarchive_load(&files->library, error)) ||
      (status = beside_open(output->pictures, &files->beside, error)) ||
      (status = token_shards_open(&files->shards, error))) {
    webdataset_close(files, PART_AS_FOUND);
    return status;
  }
  *result = files;
  return VQCT_OK;
}

static bool webdataset_recount(struct token_files *files, const json_t *record, uint64_t numbers) {
  json_int_t end = json_integer_value(json_object_get(record, "end"));
  return token_shards_recount(&files->shards, end, numbers * token_number_size(files->output.wide));
}

static enum vqct_status webdataset_cut(struct token_files *files, struct vqct_error *error) {
  return token_shards_cut(&files->shards, error);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum vqct_status to_part(void *context, const void *data, size_t size,
                                struct vqct_error *error) {
  struct token_files *files = context;
  return part_file_append(&files->shards.part, data, size, error);
}

static enum vqct_status begin_tar(struct token_files *files, struct vqct_error *error) {
  return files->tar ? VQCT_OK : tar_writer_new(&files->library, to_part, files, &files->tar, error);
}

/* Ends the shard in hand, which keeps its temporary name. */
static enum vqct_status end_shard(struct token_files *files, struct vqct_error *error) {
  enum vqct_status status = begin_tar(files, error);
  if (status != VQCT_OK)
    return status;
  status = tar_writer_end(files->tar, error);
  tar_writer_free(files->tar);
  files->tar = NULL;
  return status;
}

static enum vqct_status add_member(struct token_files *files, const struct token_picture *picture,
                                   const char *ending, const void *data, size_t size,
                                   struct vqct_error *error) {
  char *name = token_key(files->output.pictures, picture->index, ending);
  enum vqct_status status = name ? tar_writer_add(files->tar, name, data, size, error)
                                 : error_set(error, VQCT_MEMORY, "no memory to write tokens");
  free(name);
  return status;
}

/* The ending of a picture's numbers, of which there are several where it has several views. */
static void npy_ending(const struct token_files *files, unsigned view, char ending[24]) {
  if (files->output.views == 1)
    snprintf(ending, 24, ".npy");
  else
    snprintf(ending, 24, ".%u.npy", view);
}

static enum vqct_status add_numbers(struct token_files *files, const struct token_picture *picture,
                                    struct vqct_error *error) {
  const struct token_output *o = &files->output;
  size_t shape[3];
  int dims = token_layout_shape(&o->layout, o->planes, picture->height, picture->width, shape);
  enum vqct_status status =
      token_numbers_pack(&files->numbers, picture->numbers, picture->count, o->wide, error);
  if (status != VQCT_OK)
    return status;
  size_t size = NPY_HEADER_SIZE + files->numbers.size;
  char ending[24], *npy = malloc(size);
  if (!npy)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  npy_header(o->wide ? TENSOR_U32 : TENSOR_U16, dims, shape, npy);
  memcpy(npy + NPY_HEADER_SIZE, files->numbers.bytes, files->numbers.size);
  npy_ending(files, picture->view, ending);
  status = add_member(files, picture, ending, npy, size, error);
  free(npy);
  return status;
}

static enum vqct_status add_class(struct token_files *files, const struct token_picture *picture,
                                  struct vqct_error *error) {
  char number[24];
  int size = snprintf(number, sizeof number, "%zu", picture->class_index);
  return add_member(files, picture, ".cls", number, (size_t)size, error);
}

/* What lies beside the picture; its class where no .cls does. */
static enum vqct_status carry(struct token_files *files, const struct token_picture *picture,
                              struct vqct_error *error) {
  static const char *const endings[] = {".cls", ".txt", ".json"};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    struct beside_bytes bytes;
    enum vqct_status status =
        beside_read(files->beside, picture->index, endings[i], CARRIED_MAX, &bytes, error);
    if (status != VQCT_OK)
      return status;
    if (bytes.found)
      status = add_member(files, picture, endings[i], bytes.data, bytes.size, error);
    else if (i == 0 && picture->label)
      status = add_class(files, picture, error);
    beside_release(&bytes);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static enum vqct_status webdataset_append(struct token_files *files,
                                          const struct token_picture *picture, json_t *record,
                                          struct vqct_error *error) {
  enum vqct_status status;
  if (token_shards_filled(&files->shards) == files->shards.each &&
      ((status = end_shard(files, error)) || (status = token_shards_next(&files->shards, error))))
    return status;
  if ((status = begin_tar(files, error)) || (status = add_numbers(files, picture, error)) ||
      (picture->view == 0 && (status = carry(files, picture, error))))
    return status;
  files->shards.pictures++;
  if (json_object_set_new(record, "end", json_integer((json_int_t)files->shards.part.size)) != 0)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  return VQCT_OK;
}

static enum vqct_status webdataset_finish(struct token_files *files, struct vqct_error *error) {
  enum vqct_status status = end_shard(files, error);
  return status == VQCT_OK ? token_shards_finish(&files->shards, error) : status;
}

const struct token_format token_format_webdataset = {
    .name = "webdataset",
    .suffix = SUFFIX,
    .stream = true,
    .sharded = true,
    .widest = UINT32_MAX,
    .open = webdataset_open,
    .recount = webdataset_recount,
    .cut = webdataset_cut,
    .append = webdataset_append,
    .finish = webdataset_finish,
    .close = webdataset_close,
    .reading = &token_reading_webdataset,
};
