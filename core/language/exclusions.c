/* Words are lowered as captions' words are, or a capital would keep one from being found. */
#include "exclusions.h"

#include <string.h>

#include "byte_stream.h"
#include "error.h"
#include "prior.h"
#include "utf8.h"

#define LINE_MAX_BYTES ((size_t)1 << 20)

static bool is_blank(char c) {
  return (unsigned char)c <= ' ';
}

static enum vqct_status add_word(const char *path, uint64_t line, const char *text, size_t length,
                                 struct word_table *words, struct vqct_error *error) {
  char word[PRIOR_WORD_BYTES_MAX];
  uint32_t number;
  if (length > sizeof word)
    return error_set(error, VQCT_DATA, "%s:%llu: a word of over %zu bytes", path,
                     (unsigned long long)line, sizeof word);
  memcpy(word, text, length);
  length = utf8_lower(word, length);
  if (!word_table_add(words, word, length, &number))
    return error_set(error, VQCT_MEMORY, "%s: no memory for its words", path);
  return VQCT_OK;
}

static enum vqct_status read_line(const char *path, const struct text_line *line,
                                  struct word_table *words, struct vqct_error *error) {
  unsigned long long number = line->number;
  if (line->cut)
    return error_set(error, VQCT_LIMIT, "%s:%llu: a line of over %zu bytes", path, number,
                     line->length);
  if (!utf8_is_valid(line->text, line->length))
    return error_set(error, VQCT_DATA, "%s:%llu: not UTF-8", path, number);
  const char *comment = memchr(line->text, '#', line->length);
  const char *at = line->text, *end = comment ? comment : line->text + line->length;
  while (at < end) {
    const char *word = at;
    while (at < end && !is_blank(*at))
      at++;
    enum vqct_status status =
        at > word ? add_word(path, number, word, (size_t)(at - word), words, error) : VQCT_OK;
    if (status != VQCT_OK)
      return status;
    while (at < end && is_blank(*at))
      at++;
  }
  return VQCT_OK;
}

enum vqct_status exclusions_read(const char *path, struct word_table *words,
                                 struct vqct_error *error) {
  struct byte_stream *stream;
  struct text_line line;
  enum vqct_status status = byte_stream_open(path, LINE_MAX_BYTES, &stream, error);
  if (status != VQCT_OK)
    return status;
  while ((status = byte_stream_line(stream, &line, error)) == VQCT_OK && line.text)
    if ((status = read_line(path, &line, words, error)) != VQCT_OK)
      break;
  byte_stream_close(stream);
  return status;
}
