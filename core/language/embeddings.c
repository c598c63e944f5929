/* A file's form is told by its first bytes, never by its name; the reader of that form puts what it
 * finds into one store (embeddings_store.h), which counts what it passes over.
 */
#include "embeddings.h"

#include <stdlib.h>
#include <string.h>

#include "embeddings_forms.h"
#include "error.h"

#define LINE_MAX_BYTES ((size_t)1 << 22) /* a row of 65,536 numbers fits */

enum embedding_form {
  EMBEDDINGS_TEXT,
  EMBEDDINGS_BINARY,
  EMBEDDINGS_JSON,
  EMBEDDINGS_NPY,
  EMBEDDINGS_SAFETENSORS
};

/* safetensors begin with 8 bytes of length and then '{'; a length below 2^40 has zero bytes there,
 * which no text has. */
static enum embedding_form form_of(const char *bytes, size_t size) {
  if (size >= 6 && !memcmp(bytes, "\x93NUMPY", 6))
    return EMBEDDINGS_NPY;
  if (size >= 9 && bytes[8] == '{' && !bytes[5] && !bytes[6] && !bytes[7])
    return EMBEDDINGS_SAFETENSORS;
  if (size && bytes[0] == '{')
    return EMBEDDINGS_JSON;
  return embeddings_is_binary(bytes, size) ? EMBEDDINGS_BINARY : EMBEDDINGS_TEXT;
}

/* A text file can begin with the word "{" and its vector; JSON has a key or the end there. */
static bool is_brace_word(const char *bytes, size_t size) {
  size_t at = 1;
  while (at < size && (bytes[at] == ' ' || bytes[at] == '\t'))
    at++;
  return at > 1 && at < size && (bytes[at] == '-' || (bytes[at] >= '0' && bytes[at] <= '9'));
}

static enum vqct_status find_form(const char *path, enum embedding_form *form,
                                  struct vqct_error *error) {
  struct byte_stream *stream;
  enum vqct_status status = byte_stream_open(path, 1, &stream, error);
  if (status != VQCT_OK)
    return status;
  const char *bytes;
  size_t size;
  status = byte_stream_block(stream, &bytes, &size, error);
  if (status != VQCT_OK)
    goto done;
  if (!size) {
    status = error_set(error, VQCT_DATA, "%s: is empty", path);
    goto done;
  }
  *form = form_of(bytes, size);
  if (*form == EMBEDDINGS_JSON && is_brace_word(bytes, size))
    *form = EMBEDDINGS_TEXT;
done:
  byte_stream_close(stream);
  return status;
}

static enum vqct_status read_stream(struct embeddings_store *store, enum embedding_form form,
                                    struct vqct_error *error) {
  struct byte_stream *bytes;
  enum vqct_status status = byte_stream_open(store->source->path, LINE_MAX_BYTES, &bytes, error);
  if (status != VQCT_OK)
    return status;
  status = form == EMBEDDINGS_JSON     ? embeddings_read_json(store, bytes, error)
           : form == EMBEDDINGS_BINARY ? embeddings_read_binary(store, bytes, error)
                                       : embeddings_read_text(store, bytes, error);
  byte_stream_close(bytes);
  return status;
}

static enum vqct_status read_form(struct embeddings_store *store, struct vqct_error *error) {
  enum embedding_form form = EMBEDDINGS_TEXT;
  enum vqct_status status = find_form(store->source->path, &form, error);
  if (status != VQCT_OK)
    return status;
  bool matrix = form == EMBEDDINGS_NPY || form == EMBEDDINGS_SAFETENSORS;
  if (matrix != (store->source->words_path != NULL))
    return error_set(error, VQCT_INVALID,
                     matrix ? "%s: a matrix needs a list of its words, one a line"
                            : "%s: holds its words itself, a list of words is not wanted",
                     store->source->path);
  switch (form) {
  case EMBEDDINGS_NPY:
    return embeddings_read_npy(store, error);
  case EMBEDDINGS_SAFETENSORS:
    return embeddings_read_safetensors(store, error);
  default:
    return read_stream(store, form, error);
  }
}

enum vqct_status embeddings_load(const struct embeddings_source *source,
                                 const struct word_table *wanted, struct embeddings *result,
                                 struct vqct_error *error) {
  *result = (struct embeddings){0};
  struct embeddings_store store = {source, wanted, result, NULL};
  enum vqct_status status = read_form(&store, error);
  free(store.row);
  if (status != VQCT_OK) {
    embeddings_free(result);
    return status;
  }
  for (uint32_t i = 0; i < wanted->count; i++)
    result->missing += !result->found[i];
  return VQCT_OK;
}

void embeddings_free(struct embeddings *embeddings) {
  free(embeddings->vectors);
  free(embeddings->found);
  *embeddings = (struct embeddings){0};
}
