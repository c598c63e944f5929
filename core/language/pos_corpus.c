/* Words go to a table whose texts move while it grows, so they are kept by number until all
 * files are read. */
#include <stdlib.h>
#include <string.h>

#include "byte_stream.h"
#include "error.h"
#include "pos_train.h"
#include "utf8.h"

#define LINE_MAX_BYTES ((size_t)4096)

/* What grows while a file is read: words are kept by number until their texts stand still. */
struct corpus_draft {
  uint32_t *id; /* corpus->words */
  size_t word_capacity, sentence_capacity;
};

static bool reserve(struct pos_corpus *corpus, struct corpus_draft *draft) {
  if (corpus->words == draft->word_capacity) {
    size_t capacity = draft->word_capacity ? draft->word_capacity * 2 : 4096;
    uint32_t *id = realloc(draft->id, capacity * sizeof *id);
    if (!id)
      return false;
    draft->id = id;
    uint8_t *tag = realloc(corpus->tag, capacity);
    if (!tag)
      return false;
    corpus->tag = tag;
    draft->word_capacity = capacity;
  }
  if (corpus->sentences + 2 > draft->sentence_capacity) {
    size_t capacity = draft->sentence_capacity ? draft->sentence_capacity * 2 : 1024;
    size_t *first = realloc(corpus->first, capacity * sizeof *first);
    if (!first)
      return false;
    corpus->first = first;
    draft->sentence_capacity = capacity;
  }
  return true;
}

/* The number of a tag, a new one if it was not there; POS_TAGS_MAX if there is no room or the name
 * is too long. */
static uint8_t tag_number(struct pos_corpus *corpus, const char *name) {
  uint8_t tag = 0;
  while (tag < corpus->tags && strcmp(corpus->name[tag], name))
    tag++;
  if (tag < corpus->tags)
    return tag;
  size_t length = strlen(name);
  if (corpus->tags == POS_TAGS_MAX || length == 0 || length >= POS_TAG_BYTES)
    return POS_TAGS_MAX;
  memcpy(corpus->name[tag], name, length);
  corpus->tags++;
  return tag;
}

static enum vqct_status read_word(struct pos_corpus *corpus, struct corpus_draft *draft,
                                  const struct text_line *line, const char *path,
                                  struct vqct_error *error) {
  char text[LINE_MAX_BYTES];
  const char *tab = memchr(line->text, '\t', line->length);
  size_t length = tab ? (size_t)(tab - line->text) : 0;
  if (line->cut || length == 0 || !utf8_is_valid(line->text, length))
    return error_set(error, VQCT_DATA, "%s, line %llu: not a UTF-8 word, a tab and a tag", path,
                     (unsigned long long)line->number);
  memcpy(text, line->text, length);
  length = utf8_lower(text, length);
  uint8_t tag = tag_number(corpus, tab + 1);
  if (tag == POS_TAGS_MAX)
    return error_set(error, VQCT_DATA,
                     "%s, line %llu: the tag '%.20s' is not 1 to %d bytes or makes more than %d",
                     path, (unsigned long long)line->number, tab + 1, POS_TAG_BYTES - 1,
                     POS_TAGS_MAX);
  if (!reserve(corpus, draft) ||
      !word_table_add(&corpus->forms, text, length, &draft->id[corpus->words]))
    return error_set(error, VQCT_MEMORY, "no memory for %s", path);
  corpus->tag[corpus->words++] = tag;
  return VQCT_OK;
}

/* Ends the sentence if it has words. */
static void end_sentence(struct pos_corpus *corpus) {
  if (corpus->words > corpus->first[corpus->sentences])
    corpus->first[++corpus->sentences] = corpus->words;
}

static enum vqct_status read_lines(struct byte_stream *stream, const char *path,
                                   struct pos_corpus *corpus, struct corpus_draft *draft,
                                   struct vqct_error *error) {
  struct text_line line;
  size_t before = corpus->words;
  enum vqct_status status = VQCT_OK;
  while ((status = byte_stream_line(stream, &line, error)) == VQCT_OK && line.text) {
    if (line.length == 0)
      end_sentence(corpus);
    else if ((status = read_word(corpus, draft, &line, path, error)) != VQCT_OK)
      return status;
  }
  if (status != VQCT_OK)
    return status;
  end_sentence(corpus);
  if (corpus->words == before)
    return error_set(error, VQCT_DATA, "%s: has no words", path);
  return VQCT_OK;
}

static enum vqct_status read_file(const char *path, struct pos_corpus *corpus,
                                  struct corpus_draft *draft, struct vqct_error *error) {
  struct byte_stream *stream = NULL;
  enum vqct_status status = byte_stream_open(path, LINE_MAX_BYTES, &stream, error);
  if (status != VQCT_OK)
    return status;
  status = read_lines(stream, path, corpus, draft, error);
  byte_stream_close(stream);
  return status;
}

/* Turns numbers of words into their texts, which no longer move. */
static enum vqct_status place_words(struct pos_corpus *corpus, const struct corpus_draft *draft,
                                    struct vqct_error *error) {
  corpus->word = malloc((corpus->words + 1) * sizeof *corpus->word);
  if (!corpus->word)
    return error_set(error, VQCT_MEMORY, "no memory for %zu words", corpus->words);
  for (size_t i = 0; i < corpus->words; i++) {
    const char *text = word_table_text(&corpus->forms, draft->id[i]);
    corpus->word[i] = (struct word){text, strlen(text)};
  }
  return VQCT_OK;
}

enum vqct_status pos_corpus_read(const char *const *paths, size_t files, struct pos_corpus *corpus,
                                 struct vqct_error *error) {
  struct corpus_draft draft = {0};
  enum vqct_status status = VQCT_OK;
  *corpus = (struct pos_corpus){0};
  if (!reserve(corpus, &draft)) {
    status = error_set(error, VQCT_MEMORY, "no memory for tagged text");
    goto done;
  }
  corpus->first[0] = 0;
  for (size_t i = 0; i < files; i++)
    if ((status = read_file(paths[i], corpus, &draft, error)) != VQCT_OK)
      goto done;
  status = place_words(corpus, &draft, error);
done:
  free(draft.id);
  if (status != VQCT_OK)
    pos_corpus_free(corpus);
  return status;
}

void pos_corpus_free(struct pos_corpus *corpus) {
  word_table_free(&corpus->forms);
  free(corpus->word);
  free(corpus->tag);
  free(corpus->first);
  *corpus = (struct pos_corpus){0};
}
