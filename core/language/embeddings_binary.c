/* word2vec's binary file: a line of two counts, rows and D; then each row's word, a blank, and D
 * little-endian floats, with or without a newline before the next word. */
#include <stdlib.h>
#include <string.h>

#include "embeddings_forms.h"
#include "error.h"
#include "little_endian.h"

#define WORD_BYTES_MAX ((size_t)4096) /* a longer one shows that the file is damaged */

struct binary {
  struct embeddings_store *store;
  struct byte_stream *stream;
  const char *next, *end; /* bytes at hand */
  uint64_t rows;          /* that the first line tells */
  unsigned char *numbers; /* of a row, as they stand in the file: 4 D */
};

static enum vqct_status damaged(const struct binary *b, const char *what,
                                struct vqct_error *error) {
  return error_set(error, VQCT_DATA, "%s: %s in row %llu of %llu", b->store->source->path, what,
                   (unsigned long long)b->store->result->rows + 1, (unsigned long long)b->rows);
}

/* Brings bytes to hand; *some is false at the end of the file. */
static enum vqct_status refill(struct binary *b, bool *some, struct vqct_error *error) {
  size_t size = (size_t)(b->end - b->next);
  enum vqct_status status = VQCT_OK;
  if (!size) {
    status = byte_stream_block(b->stream, &b->next, &size, error);
    b->end = size ? b->next + size : b->next;
  }
  *some = size > 0;
  return status;
}

/* Brings bytes to hand in the middle of a row, where the file must not end. */
static enum vqct_status refill_row(struct binary *b, struct vqct_error *error) {
  bool some;
  enum vqct_status status = refill(b, &some, error);
  return status != VQCT_OK || some ? status : damaged(b, "the file ends", error);
}

/* The word before a blank; newlines before it are the row before's. */
static enum vqct_status read_word(struct binary *b, char *word, size_t *length,
                                  struct vqct_error *error) {
  *length = 0;
  for (;;) {
    enum vqct_status status = refill_row(b, error);
    if (status != VQCT_OK)
      return status;
    char c = *b->next++;
    if (c == ' ')
      return VQCT_OK;
    if (c == '\n' && *length == 0)
      continue;
    if (*length == WORD_BYTES_MAX)
      return damaged(b, "there is a word of over 4096 bytes", error);
    word[(*length)++] = c;
  }
}

static enum vqct_status read_numbers(struct binary *b, struct vqct_error *error) {
  size_t wanted = 4 * b->store->result->dimension;
  for (size_t got = 0; got < wanted;) {
    enum vqct_status status = refill_row(b, error);
    if (status != VQCT_OK)
      return status;
    size_t size = (size_t)(b->end - b->next);
    size = size < wanted - got ? size : wanted - got;
    memcpy(b->numbers + got, b->next, size);
    b->next += size;
    got += size;
  }
  return VQCT_OK;
}

static void take_row(struct binary *b, uint32_t id) {
  struct embeddings_store *store = b->store;
  for (size_t i = 0; i < store->result->dimension; i++) {
    uint32_t bits = little_endian_read(b->numbers + 4 * i);
    memcpy(&store->row[i], &bits, sizeof bits);
  }
  embeddings_take(store, id);
}

static enum vqct_status read_rows(struct binary *b, struct vqct_error *error) {
  char word[WORD_BYTES_MAX];
  size_t length;
  for (uint64_t row = 0; row < b->rows; row++) {
    enum vqct_status status = read_word(b, word, &length, error);
    if (status != VQCT_OK || (status = read_numbers(b, error)) != VQCT_OK)
      return status;
    uint32_t id = embeddings_wants(b->store, word, length);
    if (id != WORD_NONE)
      take_row(b, id);
    embeddings_tell(b->store, byte_stream_progress(b->stream));
  }
  for (bool some = true; some;) {
    enum vqct_status status = refill(b, &some, error);
    if (status != VQCT_OK)
      return status;
    if (some && *b->next++ != '\n')
      return error_set(error, VQCT_DATA, "%s: more than the %llu rows that its first line tells",
                       b->store->source->path, (unsigned long long)b->rows);
  }
  return VQCT_OK;
}

/* "ROWS D" at the beginning of a line; how many bytes it has, 0 where it is something else. */
static size_t parse_header(const char *line, size_t length, uint64_t *rows, uint64_t *dimension) {
  uint64_t *number[] = {rows, dimension};
  size_t at = 0;
  for (int i = 0; i < 2; i++) {
    size_t first = at;
    for (*number[i] = 0; at < length && line[at] >= '0' && line[at] <= '9' && at - first < 18; at++)
      *number[i] = 10 * *number[i] + (uint64_t)(line[at] - '0');
    if (at == first || (i == 0 && (at == length || line[at++] != ' ')))
      return 0;
  }
  return at;
}

bool embeddings_is_binary(const char *bytes, size_t size) {
  static const char of_numbers[] = "0123456789+-.eEnaiftyNAIFTY \t\r";
  uint64_t rows, dimension;
  size_t at = parse_header(bytes, size, &rows, &dimension);
  if (!at || at == size || bytes[at] != '\n' || !rows || !dimension)
    return false;
  const char *blank = memchr(bytes + at, ' ', size - at);
  if (!blank)
    return false;
  size_t first = (size_t)(blank + 1 - bytes), most = size - first;
  if (dimension < most / 4)
    most = 4 * (size_t)dimension;
  bool first_row = true;
  for (size_t i = first; i < first + most; i++) {
    unsigned char c = (unsigned char)bytes[i];
    first_row = first_row && c != '\n';
    bool control = c < ' ' && c != '\n' && c != '\r' && c != '\t';
    if (control || (first_row && !strchr(of_numbers, c)))
      return true;
  }
  return false;
}

enum vqct_status embeddings_read_binary(struct embeddings_store *store, struct byte_stream *bytes,
                                        struct vqct_error *error) {
  struct binary b = {.store = store, .stream = bytes};
  struct text_line line;
  uint64_t dimension = 0;
  enum vqct_status status = byte_stream_line(bytes, &line, error);
  if (status != VQCT_OK)
    return status;
  parse_header(line.text, line.length, &b.rows, &dimension);
  status = embeddings_begin(store, (size_t)dimension, 1, error);
  if (status != VQCT_OK)
    return status;
  if (!(b.numbers = malloc(4 * (size_t)dimension)))
    return error_set(error, VQCT_MEMORY, "%s: no memory for a row", store->source->path);
  status = read_rows(&b, error);
  free(b.numbers);
  return status;
}
