/* webdataset's shards NAME-000000.tar, NAME-000001.tar, ...: of each picture KEY.npy, its numbers,
 * and KEY.cls, KEY.txt and KEY.json as they lie beside it; where there is no .cls and pictures have
 * labels, KEY.cls is the class.
 *
 * A shard is ended when the next begins, and gets its name when all are whole. Since each but the
 * last has the same number of pictures, a picture's row tells its shard, and the sidecar only where
 * in it the picture ends ("end", in bytes).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beside.h"
#include "error.h"
#include "npy.h"
#include "tar_writer.h"
#include "token_format.h"
#include "token_keys.h"
#include "token_numbers.h"

#define SUFFIX      ".tar"
#define CARRIED_MAX ((uint64_t)64 << 20) /* bytes of a file that is carried along */

struct token_files {
  struct token_output output;
  struct libarchive library;
  struct beside *beside;
  struct part_file part;  /* the shard in hand */
  struct tar_writer *tar; /* NULL until something is added to it */
  size_t pictures;        /* in all shards */
  uint64_t found;         /* bytes that an earlier run left of the shard in hand */
  struct token_numbers numbers;
};

/* The path of a shard and `more` behind it, from malloc; NULL where memory fails. */
static char *shard_path(const struct token_files *files, size_t number, const char *more) {
  const char *path = files->output.path;
  size_t stem = strlen(path) - strlen(SUFFIX), size = stem + sizeof "-" SUFFIX + 24 + strlen(more);
  char *name = malloc(size);
  if (name)
    snprintf(name, size, "%.*s-%06zu" SUFFIX "%s", (int)stem, path, number, more);
  return name;
}

/* The shard of the last picture; the first where there is none. */
static size_t shard_in_hand(const struct token_files *files) {
  return files->pictures ? (files->pictures - 1) / files->output.shard_size : 0;
}

/* Removes shards that an earlier run left, from one on. */
static enum vqct_status remove_shards(const struct token_files *files, size_t number,
                                      const char *more, struct vqct_error *error) {
  for (;; number++) {
    char *path = shard_path(files, number, more);
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

/* ---- opening and going on -------------------------------------------------------------------- */

static void webdataset_close(struct token_files *files, enum part_end end) {
  if (!files)
    return;
  tar_writer_free(files->tar);
  part_file_close(&files->part, end);
  beside_close(files->beside);
  token_numbers_free(&files->numbers);
  free(files);
}

static enum vqct_status webdataset_open(const struct token_output *output,
                                        struct token_files **result, struct vqct_error *error) {
  enum vqct_status status;
  *result = NULL;
  struct token_files *files = calloc(1, sizeof *files);
  if (!files)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  files->output = *output;
  files->part = (struct part_file)PART_FILE_CLOSED;
  if ((status = token_keys_check(output->pictures, error)) ||
      (status = libarchive_load(&files->library, error)) ||
      (status = beside_open(output->pictures, &files->beside, error)) ||
      (status = part_file_open(&files->part, shard_path(files, 0, ""), error)) ||
      (status = part_file_found(&files->part, &files->found, error))) {
    webdataset_close(files, PART_AS_FOUND);
    return status;
  }
  *result = files;
  return VQCT_OK;
}

/* Goes over to another shard as an earlier run left it; false where it is not there. */
static bool find_shard(struct token_files *files, size_t number) {
  struct stat facts;
  char *path = shard_path(files, number, ".part");
  bool there = path && stat(path, &facts) == 0 && S_ISREG(facts.st_mode);
  free(path);
  files->found = there ? (uint64_t)facts.st_size : 0;
  files->part.size = 0;
  return there;
}

static bool webdataset_recount(struct token_files *files, const json_t *record, uint64_t numbers) {
  json_int_t end = json_integer_value(json_object_get(record, "end"));
  uint64_t before = files->part.size;
  bool next = files->pictures && files->pictures % files->output.shard_size == 0;
  if (next && !find_shard(files, files->pictures / files->output.shard_size)) {
    files->part.size = before;
    return false;
  }
  uint64_t bytes = numbers * token_number_size(files->output.wide);
  if (end < 0 || (uint64_t)end > files->found || (uint64_t)end < files->part.size ||
      (uint64_t)end - files->part.size < bytes) {
    if (next)
      files->part.size = before;
    return false;
  }
  files->part.size = (uint64_t)end;
  files->pictures++;
  return true;
}

static enum vqct_status open_shard(struct token_files *files, size_t number,
                                   struct vqct_error *error) {
  part_file_close(&files->part, PART_KEPT);
  return part_file_open(&files->part, shard_path(files, number, ""), error);
}

static enum vqct_status webdataset_cut(struct token_files *files, struct vqct_error *error) {
  uint64_t size = files->part.size;
  size_t number = shard_in_hand(files);
  enum vqct_status status;
  if ((status = number ? open_shard(files, number, error) : VQCT_OK) ||
      (status = part_file_cut(&files->part, size, error)))
    return status;
  return remove_shards(files, number + 1, ".part", error);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum vqct_status to_part(void *context, const void *data, size_t size,
                                struct vqct_error *error) {
  struct token_files *files = context;
  return part_file_append(&files->part, data, size, error);
}

static enum vqct_status begin_tar(struct token_files *files, struct vqct_error *error) {
  return files->tar ? VQCT_OK : tar_writer_new(&files->library, to_part, files, &files->tar, error);
}

/* Ends the shard in hand, which keeps its temporary name. */
static enum vqct_status end_shard(struct token_files *files, struct vqct_error *error) {
  enum vqct_status status = begin_tar(files, error);
  if (status == VQCT_OK)
    status = tar_writer_end(files->tar, error);
  tar_writer_free(files->tar);
  files->tar = NULL;
  return status;
}

static enum vqct_status next_shard(struct token_files *files, struct vqct_error *error) {
  enum vqct_status status;
  if ((status = end_shard(files, error)) ||
      (status = open_shard(files, files->pictures / files->output.shard_size, error)))
    return status;
  return part_file_cut(&files->part, 0, error);
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

static enum vqct_status add_numbers(struct token_files *files, const struct token_picture *picture,
                                    struct vqct_error *error) {
  const struct token_output *o = &files->output;
  size_t shape[3];
  int dims = token_layout_shape(&o->layout, o->planes, picture->height, picture->width, shape);
  enum vqct_status status =
      token_numbers_pack(&files->numbers, picture->numbers, picture->count, o->wide, error);
  size_t size = NPY_HEADER_SIZE + files->numbers.size;
  char *npy = status == VQCT_OK ? malloc(size) : NULL;
  if (status == VQCT_OK && !npy)
    status = error_set(error, VQCT_MEMORY, "no memory to write tokens");
  if (status == VQCT_OK) {
    npy_header(o->wide ? TENSOR_U32 : TENSOR_U16, dims, shape, npy);
    memcpy(npy + NPY_HEADER_SIZE, files->numbers.bytes, files->numbers.size);
    status = add_member(files, picture, ".npy", npy, size, error);
  }
  free(npy);
  return status;
}

/* What lies beside the picture. */
static enum vqct_status carry(struct token_files *files, const struct token_picture *picture,
                              struct vqct_error *error) {
  static const char *const endings[] = {".cls", ".txt", ".json"};
  char number[24];
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    struct beside_bytes bytes;
    enum vqct_status status =
        beside_read(files->beside, picture->index, endings[i], CARRIED_MAX, &bytes, error);
    if (status == VQCT_OK && bytes.found)
      status = add_member(files, picture, endings[i], bytes.data, bytes.size, error);
    else if (status == VQCT_OK && i == 0 && picture->label)
      status =
          add_member(files, picture, ".cls", number,
                     (size_t)snprintf(number, sizeof number, "%zu", picture->class_index), error);
    beside_release(&bytes);
    if (status != VQCT_OK)
      return status;
  }
  return VQCT_OK;
}

static enum vqct_status webdataset_append(struct token_files *files,
                                          const struct token_picture *picture, json_t *record,
                                          struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  if (files->pictures && files->pictures % files->output.shard_size == 0)
    status = next_shard(files, error);
  if (status || (status = begin_tar(files, error)) ||
      (status = add_numbers(files, picture, error)) || (status = carry(files, picture, error)))
    return status;
  files->pictures++;
  if (json_object_set_new(record, "end", json_integer((json_int_t)files->part.size)) != 0)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  return VQCT_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Those of an earlier run with more shards are not left among them. The last gets its name first,
 * so that a run which ends here leaves the first ones to go on from. */
static enum vqct_status webdataset_finish(struct token_files *files, struct vqct_error *error) {
  size_t shards = shard_in_hand(files) + 1;
  enum vqct_status status;
  if ((status = end_shard(files, error)) || (status = remove_shards(files, shards, "", error)))
    return status;
  while (shards-- > 0 && status == VQCT_OK) {
    status = open_shard(files, shards, error);
    if (status == VQCT_OK)
      status = part_file_finish(&files->part, error);
  }
  return status;
}

const struct token_format token_format_webdataset = {
    .suffix = SUFFIX,
    .sharded = true,
    .widest = UINT32_MAX,
    .open = webdataset_open,
    .recount = webdataset_recount,
    .cut = webdataset_cut,
    .append = webdataset_append,
    .finish = webdataset_finish,
    .close = webdataset_close,
};
