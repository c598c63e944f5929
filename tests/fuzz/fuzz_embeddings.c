/* Whatever bytes arrive as word vectors, as text, JSON or word2vec's binary: an error that names
 * the file, or finite vectors whose counts add up. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "embeddings_forms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition)
    abort();
}

static void check(const struct embeddings *result, size_t words) {
  size_t found = 0;
  for (size_t i = 0; i < words; i++) {
    found += result->found[i];
    for (size_t c = 0; c < result->dimension; c++) {
      float number = result->vectors[i * result->dimension + c];
      demand(isfinite(number) && (number == 0 || result->found[i]));
    }
  }
  demand(found + result->duplicates + result->not_finite + result->spaced <= result->rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const words[] = {"a", "red", "dog"};
  if (!size)
    return 0;
  struct word_table wanted = {0};
  uint32_t id;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    demand(word_table_add(&wanted, words[i], strlen(words[i]), &id));
  struct embeddings result = {0};
  const struct embeddings_source source = {.path = "vectors"};
  struct embeddings_store store = {&source, &wanted, &result, NULL};
  struct byte_stream *bytes;
  struct vqct_error error;
  demand(byte_stream_open_memory("vectors", data + 1, size - 1, 4096, &bytes, &error) == VQCT_OK);
  enum vqct_status status = data[0] % 3 == 2   ? embeddings_read_binary(&store, bytes, &error)
                            : data[0] % 3 == 1 ? embeddings_read_json(&store, bytes, &error)
                                               : embeddings_read_text(&store, bytes, &error);
  if (status == VQCT_OK)
    check(&result, wanted.count);
  else
    demand(error.status == status && strstr(error.message, "vectors"));
  byte_stream_close(bytes);
  free(store.row);
  embeddings_free(&result);
  word_table_free(&wanted);
  return 0;
}
