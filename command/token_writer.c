#include "token_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "error.h"
#include "npy.h"
#include "size.h"
#include "utf8.h"

struct part {
  char *path, *temporary;
  int descriptor; /* -1: closed */
  bool fresh;     /* this process holds the lock and found nothing written */
  uint64_t size;  /* bytes written */
};

struct token_writer {
  struct token_writer_settings settings;
  bool array; /* .npy */
  struct part tokens, sidecar;
  size_t rows, failures;
  bool anew;       /* another run's files were in the way */
  uint8_t *packed; /* one picture's numbers as the file holds them */
  size_t packed_size;
};

static enum vqct_status part_failed(const struct part *part, struct vqct_error *error) {
  return error_set(error, VQCT_WRITE, "%s: %s", part->path, strerror(errno));
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Takes path. A lock keeps a second process from the same file; it ends with this descriptor, or
 * with any other of the file that the process closes. */
static enum vqct_status part_open(struct part *part, char *path, struct vqct_error *error) {
  struct stat facts;
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  size_t room = path ? strlen(path) + sizeof ".part" : 0;
  part->path = path;
  part->temporary = path ? malloc(room) : NULL;
  if (!part->temporary)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  snprintf(part->temporary, room, "%s.part", path);
  if (stat(path, &facts) == 0 && !S_ISREG(facts.st_mode))
    return error_set(error, VQCT_WRITE, "%s: not a regular file", path);
  part->descriptor = open(part->temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (part->descriptor < 0)
    return part_failed(part, error);
  if (fcntl(part->descriptor, F_SETLK, &lock) != 0)
    return errno == EACCES || errno == EAGAIN
               ? error_set(error, VQCT_WRITE, "%s: another process is writing it", path)
               : part_failed(part, error);
  if (fstat(part->descriptor, &facts) != 0)
    return part_failed(part, error);
  part->fresh = facts.st_size == 0;
  return VQCT_OK;
}

static enum vqct_status part_cut(struct part *part, uint64_t size, struct vqct_error *error) {
  if (ftruncate(part->descriptor, (off_t)size) != 0)
    return part_failed(part, error);
  part->size = size;
  return VQCT_OK;
}

static enum vqct_status part_write_at(struct part *part, const void *data, size_t size,
                                      uint64_t offset, struct vqct_error *error) {
  const char *next = data;
  while (size > 0) {
    ssize_t written = pwrite(part->descriptor, next, size, (off_t)offset);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return part_failed(part, error);
    next += written;
    offset += (uint64_t)written;
    size -= (size_t)written;
  }
  return VQCT_OK;
}

static enum vqct_status part_append(struct part *part, const void *data, size_t size,
                                    struct vqct_error *error) {
  enum vqct_status status = part_write_at(part, data, size, part->size, error);
  if (status == VQCT_OK)
    part->size += size;
  return status;
}

static enum vqct_status part_finish(struct part *part, struct vqct_error *error) {
  if (fsync(part->descriptor) != 0 || rename(part->temporary, part->path) != 0)
    return part_failed(part, error);
  close(part->descriptor);
  part->descriptor = -1;
  return VQCT_OK;
}

static void part_close(struct part *part, bool keep) {
  if (part->descriptor >= 0) {
    if (!keep)
      unlink(part->temporary);
    close(part->descriptor);
  }
  free(part->path);
  free(part->temporary);
}

/* ---- going on -------------------------------------------------------------------------------- */

static size_t number_size(const struct token_writer *writer) {
  return writer->settings.wide ? sizeof(uint32_t) : sizeof(uint16_t);
}

/* Bytes before the first picture's numbers. */
static uint64_t data_start(const struct token_writer *writer) {
  return writer->array ? NPY_HEADER_SIZE : 0;
}

/* Counts one line of an interrupted run's sidecar. False where it is damaged, or where its tokens
 * are not all in the file: from there on the work is done again. */
static bool recount_line(struct token_writer *writer, const char *line, size_t length,
                         uint64_t available) {
  json_t *record = json_loadb(line, length, 0, NULL);
  const json_t *grid = json_object_get(record, "grid");
  bool fine = json_is_string(json_object_get(record, "image"));
  if (fine && json_object_get(record, "error")) {
    writer->failures++;
  } else if (fine) {
    json_int_t height = json_integer_value(json_array_get(grid, 0));
    json_int_t width = json_integer_value(json_array_get(grid, 1));
    fine = height > 0 && width > 0 && height <= UINT16_MAX && width <= UINT16_MAX;
    uint64_t bytes =
        fine ? (uint64_t)height * (uint64_t)width * writer->settings.planes * number_size(writer)
             : 0;
    fine = fine && bytes <= available - writer->tokens.size;
    if (fine) {
      writer->rows++;
      writer->tokens.size += bytes;
    }
  }
  json_decref(record);
  return fine;
}

/* Reads what an interrupted run left: how far both files agree. False where it was another run. */
static bool recount(struct token_writer *writer, const char *text, size_t size,
                    uint64_t available) {
  const char *description = writer->settings.description, *end;
  size_t length = strlen(description);
  if (size <= length || memcmp(text, description, length) || text[length] != '\n' ||
      available < data_start(writer))
    return false;
  size_t at = length + 1;
  writer->tokens.size = data_start(writer);
  while (at < size && (end = memchr(text + at, '\n', size - at)) &&
         recount_line(writer, text + at, (size_t)(end - text) - at, available))
    at = (size_t)(end - text) + 1;
  writer->sidecar.size = at;
  return true;
}

static enum vqct_status start_over(struct token_writer *writer, struct vqct_error *error) {
  static const char empty[NPY_HEADER_SIZE];
  const char *description = writer->settings.description;
  enum vqct_status status = part_cut(&writer->tokens, 0, error);
  if (status == VQCT_OK)
    status = part_cut(&writer->sidecar, 0, error);
  if (status == VQCT_OK)
    status = part_append(&writer->tokens, empty, (size_t)data_start(writer), error);
  if (status == VQCT_OK)
    status = part_append(&writer->sidecar, description, strlen(description), error);
  if (status == VQCT_OK)
    status = part_append(&writer->sidecar, "\n", 1, error);
  return status;
}

/* The sidecar is read through the descriptor that is there: to close a second one would end this
 * process's lock on the file. */
static enum vqct_status resume(struct token_writer *writer, struct vqct_error *error) {
  struct stat tokens, sidecar;
  if (fstat(writer->tokens.descriptor, &tokens) != 0)
    return part_failed(&writer->tokens, error);
  if (fstat(writer->sidecar.descriptor, &sidecar) != 0)
    return part_failed(&writer->sidecar, error);
  size_t size = (size_t)sidecar.st_size;
  char *text =
      size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, writer->sidecar.descriptor, 0) : MAP_FAILED;
  if (text == MAP_FAILED)
    return start_over(writer, error);
  bool same = recount(writer, text, size, (uint64_t)tokens.st_size);
  munmap(text, size);
  writer->anew = !same;
  if (!same)
    return start_over(writer, error);
  enum vqct_status status = part_cut(&writer->tokens, writer->tokens.size, error);
  if (status == VQCT_OK)
    status = part_cut(&writer->sidecar, writer->sidecar.size, error);
  return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* path with another suffix of five characters at most. */
static char *with_suffix(const char *path, const char *suffix) {
  size_t stem = strlen(path) - 4;
  char *name = malloc(stem + strlen(suffix) + 1);
  if (name) {
    memcpy(name, path, stem);
    strcpy(name + stem, suffix);
  }
  return name;
}

static void writer_close(struct token_writer *writer, bool keep_tokens, bool keep_sidecar) {
  part_close(&writer->tokens, keep_tokens);
  part_close(&writer->sidecar, keep_sidecar);
  free(writer->packed);
  free(writer);
}

enum vqct_status token_writer_open(const struct token_writer_settings *settings,
                                   struct token_writer **result, struct token_start *start,
                                   struct vqct_error *error) {
  size_t length = strlen(settings->path);
  const char *suffix = settings->path + (length < 4 ? 0 : length - 4);
  *result = NULL;
  if (length <= 4 || (strcmp(suffix, ".npy") && strcmp(suffix, ".bin")))
    return error_set(error, VQCT_INVALID, "%s: the output must end in .npy or .bin",
                     settings->path);
  struct token_writer *writer = calloc(1, sizeof *writer);
  if (!writer)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  writer->settings = *settings;
  writer->array = !strcmp(suffix, ".npy");
  writer->tokens.descriptor = writer->sidecar.descriptor = -1;
  enum vqct_status status = part_open(&writer->tokens, strdup(settings->path), error);
  if (status == VQCT_OK)
    status = part_open(&writer->sidecar, with_suffix(settings->path, ".jsonl"), error);
  if (status == VQCT_OK)
    status = resume(writer, error);
  if (status == VQCT_OK) {
    start->done = writer->rows + writer->failures;
    start->anew = writer->anew;
    *result = writer;
  } else {
    writer_close(writer, !writer->tokens.fresh, !writer->sidecar.fresh);
  }
  return status;
}

/* A message as JSON, which may quote a name. */
static json_t *text_json(const char *text) {
  char *escaped = utf8_escape(text, false);
  json_t *json = escaped ? json_string(escaped) : NULL;
  free(escaped);
  return json;
}

/* The bytes of a name in hexadecimal, for one that is not UTF-8; NULL where memory fails. */
static json_t *hex_json(const char *name) {
  static const char digits[] = "0123456789abcdef";
  size_t length = strlen(name);
  char *hex = malloc(2 * length + 1);
  if (!hex)
    return NULL;
  for (size_t i = 0; i < length; i++) {
    hex[2 * i] = digits[(unsigned char)name[i] >> 4];
    hex[2 * i + 1] = digits[(unsigned char)name[i] & 15];
  }
  json_t *json = json_stringn(hex, 2 * length);
  free(hex);
  return json;
}

/* The beginning of a picture's record: its name, and where that is not text its bytes too. */
static json_t *name_record(const char *name) {
  json_t *record = json_pack("{s:o?}", "image", text_json(name));
  if (record && !utf8_is_valid(name, strlen(name)) &&
      json_object_set_new(record, "image_hex", hex_json(name)) != 0) {
    json_decref(record);
    return NULL;
  }
  return record;
}

/* Adds the members of `more` to a record; takes both. */
static json_t *joined(json_t *record, json_t *more) {
  bool fine = record && more && json_object_update(record, more) == 0;
  json_decref(more);
  if (fine)
    return record;
  json_decref(record);
  return NULL;
}

/* Takes record. */
static enum vqct_status write_record(struct token_writer *writer, json_t *record,
                                     struct vqct_error *error) {
  char *line = record ? json_dumps(record, JSON_ENSURE_ASCII) : NULL;
  json_decref(record);
  if (!line)
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  size_t length = strlen(line);
  line[length] = '\n'; /* in place of the terminating zero, which write does not need */
  enum vqct_status status = part_append(&writer->sidecar, line, length + 1, error);
  free(line);
  return status;
}

static enum vqct_status pack(struct token_writer *writer, const uint32_t *tokens, size_t count,
                             struct vqct_error *error) {
  size_t size;
  if (!size_multiply(count, number_size(writer), &size))
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  if (size > writer->packed_size) {
    uint8_t *packed = realloc(writer->packed, size);
    if (!packed)
      return error_set(error, VQCT_MEMORY, "no memory to write tokens");
    writer->packed = packed;
    writer->packed_size = size;
  }
  for (size_t i = 0, at = 0; i < count; i++)
    for (size_t byte = 0; byte < number_size(writer); byte++)
      writer->packed[at++] = (uint8_t)(tokens[i] >> 8 * byte);
  return part_append(&writer->tokens, writer->packed, size, error);
}

enum vqct_status token_writer_add(struct token_writer *writer, const char *image,
                                  const uint32_t *tokens, size_t height, size_t width,
                                  struct vqct_error *error) {
  uint64_t offset = writer->tokens.size - data_start(writer);
  enum vqct_status status = pack(writer, tokens, writer->settings.planes * height * width, error);
  if (status == VQCT_OK)
    status = write_record(
        writer,
        joined(name_record(image),
               json_pack("{s:I, s:I, s:[I, I]}", "row", (json_int_t)writer->rows, "offset",
                         (json_int_t)offset, "grid", (json_int_t)height, (json_int_t)width)),
        error);
  if (status == VQCT_OK)
    writer->rows++;
  return status;
}

enum vqct_status token_writer_fail(struct token_writer *writer, const char *image,
                                   const char *message, struct vqct_error *error) {
  enum vqct_status status = write_record(
      writer, joined(name_record(image), json_pack("{s:o?}", "error", text_json(message))), error);
  if (status == VQCT_OK)
    writer->failures++;
  return status;
}

struct token_totals token_writer_totals(const struct token_writer *writer) {
  return (struct token_totals){.pictures = writer->rows,
                               .failed = writer->failures,
                               .tokens = (writer->tokens.size - data_start(writer)) /
                                         number_size(writer)};
}

/* The closing line. */
static json_t *totals_record(const struct token_writer *writer, const struct pictures *pictures) {
  const struct token_totals totals = token_writer_totals(writer);
  json_t *passed = json_object();
  bool fine = passed;
  for (size_t i = 0; fine && i < pictures_passed(pictures); i++) {
    const struct passed_over *kind = pictures_passed_over(pictures, i);
    fine = json_object_set_new(passed, kind->kind, json_integer((json_int_t)kind->count)) == 0;
  }
  if (!fine) {
    json_decref(passed);
    return NULL;
  }
  return json_pack("{s:I, s:I, s:I, s:o}", "pictures", (json_int_t)totals.pictures, "tokens",
                   (json_int_t)totals.tokens, "failed", (json_int_t)totals.failed, "passed_over",
                   passed);
}

enum vqct_status token_writer_commit(struct token_writer *writer, const struct pictures *pictures,
                                     struct vqct_error *error) {
  enum vqct_status status = write_record(writer, totals_record(writer, pictures), error);
  if (status == VQCT_OK && writer->array) {
    char header[NPY_HEADER_SIZE];
    size_t shape[4] = {writer->rows, writer->settings.planes, writer->settings.grid_height,
                       writer->settings.grid_width};
    npy_header(writer->settings.wide ? TENSOR_U32 : TENSOR_U16, 4, shape, header);
    status = part_write_at(&writer->tokens, header, sizeof header, 0, error);
  }
  if (status == VQCT_OK)
    status = part_finish(&writer->tokens, error);
  if (status == VQCT_OK)
    status = part_finish(&writer->sidecar, error);
  return status;
}

void token_writer_close(struct token_writer *writer, bool keep) {
  if (writer)
    writer_close(writer, keep, keep);
}
