/* The sidecar, and how a run goes on: its lines are counted again, the format says of each whether
 * its tokens are whole, and all files are cut to where they agree. A picture's tokens are written
 * before its line, so that a line tells of nothing that is not there. */
#include "token_writer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "error.h"
#include "token_name.h"
#include "token_record.h"
#include "token_sidecar.h"

#define GRID_MAX UINT16_MAX /* tokens a side that a line of the sidecar may tell */

struct token_writer {
  const struct token_format *format;
  struct token_files *files;
  struct part_file sidecar; /* none where tokens go to standard output */
  size_t planes;
  unsigned views; /* of each picture */
  struct token_layout layout;
  struct token_totals totals;
};

static void count_row(struct token_writer *writer, size_t height, size_t width) {
  writer->totals.rows++;
  writer->totals.pictures = writer->totals.rows / writer->views;
  writer->totals.tokens += (uint64_t)height * width * writer->planes;
}

/* ---- going on -------------------------------------------------------------------------------- */

/* Counts a picture that an interrupted run wrote. False where its tokens are not all there. */
static bool recount_picture(struct token_writer *writer, const json_t *record) {
  const json_t *grid = json_object_get(record, "grid");
  json_int_t height = json_integer_value(json_array_get(grid, 0));
  json_int_t width = json_integer_value(json_array_get(grid, 1));
  if (height <= 0 || width <= 0 || height > GRID_MAX || width > GRID_MAX)
    return false;
  uint64_t numbers =
      token_layout_length(&writer->layout, writer->planes, (size_t)height, (size_t)width);
  if (!writer->format->recount(writer->files, record, numbers))
    return false;
  count_row(writer, (size_t)height, (size_t)width);
  return true;
}

/* Counts one line of an interrupted run's sidecar. False where it is damaged, or where its tokens
 * are not whole: from there on the work is done again. */
static bool recount_line(struct token_writer *writer, const char *line, size_t length) {
  json_t *record = json_loadb(line, length, 0, NULL);
  bool fine = json_is_string(json_object_get(record, "image"));
  if (fine && json_object_get(record, "error"))
    writer->totals.failed++;
  else if (fine)
    fine = recount_picture(writer, record);
  json_decref(record);
  return fine;
}

/* Reads what an interrupted run left: how far all files agree. False where it was another run. */
static bool recount(struct token_writer *writer, const char *description, const char *text,
                    size_t size) {
  size_t length = strlen(description);
  const char *end;
  if (size <= length || memcmp(text, description, length) || text[length] != '\n')
    return false;
  size_t at = length + 1;
  while (at < size && (end = memchr(text + at, '\n', size - at)) &&
         recount_line(writer, text + at, (size_t)(end - text) - at))
    at = (size_t)(end - text) + 1;
  writer->sidecar.size = at;
  return true;
}

/* Takes what is there, and cuts all files to what was taken. */
static enum vqct_status resume(struct token_writer *writer, const char *description, bool *anew,
                               struct vqct_error *error) {
  uint64_t size;
  if (!description)
    return writer->format->cut(writer->files, error);
  enum vqct_status status = part_file_found(&writer->sidecar, &size, error);
  if (status != VQCT_OK)
    return status;
  char *text = size
                   ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, writer->sidecar.descriptor, 0)
                   : MAP_FAILED;
  if (text != MAP_FAILED) {
    *anew = !recount(writer, description, text, (size_t)size);
    munmap(text, (size_t)size);
  }
  if ((status = writer->format->cut(writer->files, error)) ||
      (status = part_file_cut(&writer->sidecar, writer->sidecar.size, error)))
    return status;
  if (writer->sidecar.size > 0)
    return VQCT_OK;
  if ((status = part_file_append(&writer->sidecar, description, strlen(description), error)))
    return status;
  return part_file_append(&writer->sidecar, "\n", 1, error);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* NAME.jsonl of NAME and a suffix, from malloc; NULL where memory fails. */
static char *sidecar_path(const char *path, const char *suffix) {
  return token_name_beside(path, strlen(path) - strlen(suffix), ".jsonl");
}

static enum vqct_status open_sidecar(struct token_writer *writer, const char *path,
                                     struct vqct_error *error) {
  const struct token_format *format = writer->format;
  enum vqct_status status =
      part_file_open(&writer->sidecar, sidecar_path(path, format->suffix), error);
  if (status != VQCT_OK || access(writer->sidecar.path, F_OK) != 0)
    return status;
  return token_sidecar_check(path, format->suffix, format->name, error);
}

static void writer_close(struct token_writer *writer, enum part_end end) {
  writer->format->close(writer->files, end);
  part_file_close(&writer->sidecar, end);
  free(writer);
}

enum vqct_status token_writer_open(const struct token_format *format,
                                   const struct token_output *output, const char *description,
                                   struct token_writer **result, struct token_start *start,
                                   struct vqct_error *error) {
  enum vqct_status status;
  *result = NULL;
  *start = (struct token_start){0};
  struct token_writer *writer = calloc(1, sizeof *writer);
  if (!writer)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  writer->format = format;
  writer->planes = output->planes;
  writer->views = output->views;
  writer->layout = output->layout;
  writer->sidecar = (struct part_file)PART_FILE_CLOSED;
  if ((status = format->open(output, &writer->files, error)) ||
      (description && (status = open_sidecar(writer, output->path, error))) ||
      (status = resume(writer, description, &start->anew, error))) {
    writer_close(writer, PART_AS_FOUND);
    return status;
  }
  start->done = writer->totals.pictures + writer->totals.failed;
  start->views = (unsigned)(writer->totals.rows % writer->views);
  *result = writer;
  return VQCT_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum vqct_status write_record(struct token_writer *writer, const json_t *record,
                                     struct vqct_error *error) {
  if (record && writer->sidecar.descriptor < 0)
    return VQCT_OK;
  char *line = record ? json_dumps(record, JSON_ENSURE_ASCII) : NULL;
  if (!line)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  size_t length = strlen(line);
  line[length] = '\n'; /* in place of the terminating zero, which write does not need */
  enum vqct_status status = part_file_append(&writer->sidecar, line, length + 1, error);
  free(line);
  return status;
}

static bool describe_view(const struct token_picture *picture, json_t *record) {
  const struct view_box *box = picture->box;
  return json_object_set_new(record, "view", json_integer((json_int_t)picture->view)) == 0 &&
         json_object_set_new(
             record, "box",
             json_pack("[f, f, f, f]", box->left, box->top, box->right, box->bottom)) == 0 &&
         json_object_set_new(record, "mirrored", json_boolean(box->mirrored)) == 0;
}

/* What of a picture's record is not the format's. */
static bool describe_picture(const struct token_writer *writer, const struct token_picture *picture,
                             json_t *record) {
  if (json_object_set_new(record, "row", json_integer((json_int_t)writer->totals.rows)) != 0)
    return false;
  if (picture->box && !describe_view(picture, record))
    return false;
  return !picture->label ||
         (json_object_set_new(record, "label", token_record_text(picture->label)) == 0 &&
          json_object_set_new(record, "class", json_integer((json_int_t)picture->class_index)) ==
              0);
}

/* The format's files first: what the sidecar tells is there. */
static enum vqct_status write_picture(struct token_writer *writer,
                                      const struct token_picture *picture, json_t *record,
                                      struct vqct_error *error) {
  if (!describe_picture(writer, picture, record))
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  enum vqct_status status = writer->format->append(writer->files, picture, record, error);
  if (status != VQCT_OK)
    return status;
  if (json_object_set_new(
          record, "grid",
          json_pack("[I, I]", (json_int_t)picture->height, (json_int_t)picture->width)) != 0)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  return write_record(writer, record, error);
}

enum vqct_status token_writer_add(struct token_writer *writer, const struct token_picture *picture,
                                  struct vqct_error *error) {
  json_t *record = token_record(picture->name);
  enum vqct_status status = write_picture(writer, picture, record, error);
  json_decref(record);
  if (status != VQCT_OK)
    return status;
  count_row(writer, picture->height, picture->width);
  return VQCT_OK;
}

enum vqct_status token_writer_fail(struct token_writer *writer, const char *image,
                                   const char *message, struct vqct_error *error) {
  json_t *record = token_record_failed(image, message);
  enum vqct_status status = write_record(writer, record, error);
  json_decref(record);
  if (status != VQCT_OK)
    return status;
  writer->totals.failed++;
  return VQCT_OK;
}

const char *token_writer_part(const struct token_writer *writer) {
  return writer->sidecar.temporary;
}

struct token_totals token_writer_totals(const struct token_writer *writer) {
  return writer->totals;
}

/* ---- the end --------------------------------------------------------------------------------- */

static enum vqct_status write_totals(struct token_writer *writer, const struct pictures *pictures,
                                     struct vqct_error *error) {
  const struct token_totals *totals = &writer->totals;
  json_t *record =
      json_pack("{s:I, s:I, s:I, s:o}", "pictures", (json_int_t)totals->pictures, "tokens",
                (json_int_t)totals->tokens, "failed", (json_int_t)totals->failed, "passed_over",
                token_record_passed(pictures));
  if (writer->views > 1)
    json_object_set_new(record, "views", json_integer((json_int_t)totals->rows));
  enum vqct_status status = write_record(writer, record, error);
  json_decref(record);
  return status;
}

enum vqct_status token_writer_commit(struct token_writer *writer, const struct pictures *pictures,
                                     struct vqct_error *error) {
  bool beside = writer->sidecar.descriptor >= 0;
  enum vqct_status status = write_totals(writer, pictures, error);
  if (status != VQCT_OK)
    return status;
  if (beside)
    unlink(writer->sidecar.path); /* of tokens that are about to change */
  if ((status = writer->format->finish(writer->files, error)))
    return status;
  return beside ? part_file_finish(&writer->sidecar, error) : VQCT_OK;
}

void token_writer_close(struct token_writer *writer, bool keep) {
  if (writer)
    writer_close(writer, keep ? PART_KEPT : PART_REMOVED);
}
