/* zlib's gzread hands plain files through untouched, so one way of reading serves both. Blocks of
 * BLOCK bytes come into `block`; a line that lies wholly in one block is still copied into `line`,
 * since callers want it NUL-terminated and the copy costs little beside parsing it. */
#include "byte_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "error.h"

#define BLOCK        ((size_t)1 << 16)
#define LINE_INITIAL ((size_t)4096)

struct byte_stream {
  char *name;
  gzFile file; /* NULL for a stream over memory */
  uint64_t file_size;
  const char *next; /* bytes at hand: next to end */
  const char *end;
  bool begun;    /* what the file begins with has been looked at */
  bool finished; /* the file has no bytes after those at hand */
  char *line;    /* line_capacity + 1 bytes */
  size_t line_capacity, line_limit;
  uint64_t lines; /* given so far */
  char block[];
};

static struct byte_stream *stream_new(const char *name, size_t block, size_t line_limit,
                                      struct vqct_error *error) {
  struct byte_stream *stream = calloc(1, sizeof *stream + block);
  char *copy = strdup(name);
  if (!stream || !copy) {
    free(stream);
    free(copy);
    error_set(error, VQCT_MEMORY, "%s: no memory to read it", name);
    return NULL;
  }
  stream->name = copy;
  stream->line_limit = line_limit;
  return stream;
}

/* UTF-8's byte order mark, which Windows writes before text, is no part of the text. */
static void skip_mark(struct byte_stream *stream) {
  if (stream->end - stream->next >= 3 && !memcmp(stream->next, "\xef\xbb\xbf", 3))
    stream->next += 3;
  stream->begun = true;
}

enum vqct_status byte_stream_open(const char *path, size_t line_limit, struct byte_stream **result,
                                  struct vqct_error *error) {
  *result = NULL;
  struct stat facts;
  if (stat(path, &facts))
    return error_set(error, VQCT_READ, "%s: %s", path, strerror(errno));
  if (S_ISDIR(facts.st_mode))
    return error_set(error, VQCT_READ, "%s: is a folder, not a file", path);
  struct byte_stream *stream = stream_new(path, BLOCK, line_limit, error);
  if (!stream)
    return VQCT_MEMORY;
  errno = 0;
  stream->file = gzopen(path, "rb");
  if (!stream->file) {
    error_set(error, VQCT_READ, "%s: %s", path, errno ? strerror(errno) : "no memory to read it");
    byte_stream_close(stream);
    return VQCT_READ;
  }
  gzbuffer(stream->file, BLOCK);
  stream->file_size = facts.st_size > 0 ? (uint64_t)facts.st_size : 0;
  *result = stream;
  return VQCT_OK;
}

enum vqct_status byte_stream_open_memory(const char *name, const void *bytes, size_t size,
                                         size_t line_limit, struct byte_stream **result,
                                         struct vqct_error *error) {
  *result = stream_new(name, 0, line_limit, error);
  if (!*result)
    return VQCT_MEMORY;
  (*result)->next = bytes;
  (*result)->end = (*result)->next + size;
  skip_mark(*result);
  return VQCT_OK;
}

void byte_stream_close(struct byte_stream *stream) {
  if (!stream)
    return;
  if (stream->file)
    gzclose(stream->file);
  free(stream->line);
  free(stream->name);
  free(stream);
}

const char *byte_stream_name(const struct byte_stream *stream) {
  return stream->name;
}

static enum vqct_status read_failed(const struct byte_stream *stream, struct vqct_error *error) {
  int fault;
  const char *text = gzerror(stream->file, &fault);
  if (fault == Z_ERRNO)
    text = strerror(errno);
  else if (fault == Z_BUF_ERROR)
    text = "the gzip data end too early";
  if (stream->lines)
    return error_set(error, VQCT_READ, "%s:%llu: %s", stream->name,
                     (unsigned long long)stream->lines + 1, text);
  return error_set(error, VQCT_READ, "%s: %s", stream->name, text);
}

/* Brings bytes to hand where there are none; afterwards there are some or the file is finished. */
static enum vqct_status refill(struct byte_stream *stream, struct vqct_error *error) {
  if (stream->next < stream->end || stream->finished)
    return VQCT_OK;
  stream->finished = !stream->file;
  if (stream->finished)
    return VQCT_OK;
  int got = gzread(stream->file, stream->block, BLOCK);
  int fault;
  gzerror(stream->file, &fault);
  /* A gzip file cut short gives its last bytes with a count above 0 and this fault. */
  if (got < 0 || fault != Z_OK)
    return read_failed(stream, error);
  stream->finished = got == 0;
  stream->next = stream->block;
  stream->end = stream->block + got;
  if (!stream->begun)
    skip_mark(stream);
  return VQCT_OK;
}

enum vqct_status byte_stream_block(struct byte_stream *stream, const char **bytes, size_t *size,
                                   struct vqct_error *error) {
  *bytes = NULL;
  *size = 0;
  enum vqct_status status = refill(stream, error);
  if (status != VQCT_OK)
    return status;
  *bytes = stream->next;
  *size = (size_t)(stream->end - stream->next);
  stream->next = stream->end;
  return VQCT_OK;
}

/* Makes room for `size` bytes of the line, no more than the limit, and their terminator. */
static bool line_reserve(struct byte_stream *stream, size_t size) {
  if (stream->line && size <= stream->line_capacity)
    return true;
  size_t capacity = stream->line_capacity ? stream->line_capacity : LINE_INITIAL;
  while (capacity < size)
    capacity *= 2;
  char *line = realloc(stream->line, capacity + 1);
  if (!line)
    return false;
  stream->line = line;
  stream->line_capacity = capacity;
  return true;
}

/* Appends bytes to the line of line->length bytes, up to the limit. */
static bool line_append(struct byte_stream *stream, struct text_line *line, const char *bytes,
                        size_t size) {
  size_t room = stream->line_limit - line->length;
  line->cut |= size > room;
  if (size > room)
    size = room;
  if (!line_reserve(stream, line->length + size))
    return false;
  if (size)
    memcpy(stream->line + line->length, bytes, size);
  line->length += size;
  return true;
}

enum vqct_status byte_stream_line(struct byte_stream *stream, struct text_line *line,
                                  struct vqct_error *error) {
  *line = (struct text_line){.number = stream->lines + 1};
  bool any = false;
  for (bool ended = false; !ended;) {
    enum vqct_status status = refill(stream, error);
    if (status != VQCT_OK)
      return status;
    if (stream->next == stream->end)
      break;
    any = true;
    size_t size = (size_t)(stream->end - stream->next);
    const char *newline = memchr(stream->next, '\n', size);
    ended = newline != NULL;
    if (newline)
      size = (size_t)(newline - stream->next);
    if (!line_append(stream, line, stream->next, size))
      return error_set(error, VQCT_MEMORY, "%s:%llu: no memory for the line", stream->name,
                       (unsigned long long)line->number);
    stream->next += size + ended;
  }
  if (!any)
    return VQCT_OK;
  if (!stream->lines++ && line->length >= 2 &&
      (!memcmp(stream->line, "\xff\xfe", 2) || !memcmp(stream->line, "\xfe\xff", 2)))
    return error_set(error, VQCT_DATA, "%s: is UTF-16; text must be UTF-8", stream->name);
  if (!line->cut && line->length && stream->line[line->length - 1] == '\r')
    line->length--;
  stream->line[line->length] = '\0';
  line->text = stream->line;
  return VQCT_OK;
}

double byte_stream_progress(const struct byte_stream *stream) {
  if (!stream->file)
    return stream->next == stream->end;
  long long offset = gzoffset(stream->file);
  if (offset < 0 || !stream->file_size)
    return 0;
  double share = (double)offset / (double)stream->file_size;
  return share < 1 ? share : 1;
}
