/* A prior's file is a safetensors file with these tensors:
 *
 *   words.text  U8  [bytes]  the N words, each with a zero byte behind it
 *   words.part  U8  [N]      0 adjective, 1 noun; all adjectives come first
 *   words.count U64 [N]
 *   embeddings  F32 [N, D]
 *   edges       U32 [E, 3]   two rows, the lower first, and the weight; by first, then second row
 *
 * and the texts format ("vqct-prior"), version ("1") and provenance in its header.
 */
#include "prior.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "safetensors.h"
#include "size.h"
#include "utf8.h"
#include "vqct/codebook.h"
#include "word_table.h"

#define FORMAT  "vqct-prior"
#define VERSION "1"

/* Whether no letter is a capital. Others' words may hold a typographic apostrophe, which lower case
 * would make a plain one. */
static bool is_lower_case(const char *word) {
  static const char apostrophe[] = "\xe2\x80\x99";
  char lower[PRIOR_WORD_BYTES_MAX];
  while (*word) {
    const char *end = strstr(word, apostrophe);
    size_t length = end ? (size_t)(end - word) : strlen(word);
    memcpy(lower, word, length);
    if (utf8_lower(lower, length) != length || memcmp(lower, word, length) != 0)
      return false;
    word += end ? length + sizeof apostrophe - 1 : length;
  }
  return true;
}

static enum vqct_status check_word(const struct prior *prior, size_t row, struct word_table *seen,
                                   struct vqct_error *error) {
  const char *word = prior->word[row];
  size_t length = strlen(word);
  if (length == 0 || length > PRIOR_WORD_BYTES_MAX)
    return error_set(error, VQCT_MODEL, "word %zu of the prior has %zu bytes, not 1 to %zu", row,
                     length, PRIOR_WORD_BYTES_MAX);
  if (!utf8_is_printable(word, length))
    return error_set(error, VQCT_MODEL,
                     "word %zu of the prior is not UTF-8 text without control characters", row);
  if (!is_lower_case(word))
    return error_set(error, VQCT_MODEL, "word %zu of the prior, '%.80s', is not in lower case", row,
                     word);
  uint32_t id, before = seen->count;
  if (!word_table_add(seen, word, length, &id))
    return error_set(error, VQCT_MEMORY, "no memory for the words of the prior");
  if (id != before)
    return error_set(error, VQCT_MODEL, "the prior has the %s '%.80s' twice",
                     row < prior->adjectives ? "adjective" : "noun", word);
  return VQCT_OK;
}

static enum vqct_status check_words(const struct prior *prior, size_t first, size_t count,
                                    struct vqct_error *error) {
  struct word_table seen = {0};
  enum vqct_status status = VQCT_OK;
  for (size_t row = first; row < first + count && status == VQCT_OK; row++)
    status = check_word(prior, row, &seen, error);
  word_table_free(&seen);
  return status;
}

static enum vqct_status check_edges(const struct prior *prior, struct vqct_error *error) {
  const struct prior_edge *before = NULL;
  for (size_t i = 0; i < prior->edge_count; i++) {
    const struct prior_edge *edge = &prior->edges[i];
    if (edge->first >= edge->second || edge->second >= prior->words)
      return error_set(error, VQCT_MODEL,
                       "edge %zu of the prior joins rows %u and %u; the lower must come first, and "
                       "rows are 0 to %zu",
                       i, (unsigned)edge->first, (unsigned)edge->second, prior->words - 1);
    if (edge->weight == 0)
      return error_set(error, VQCT_MODEL, "edge %zu of the prior has weight 0", i);
    if (before && (before->first > edge->first ||
                   (before->first == edge->first && before->second >= edge->second)))
      return error_set(error, VQCT_MODEL, "edge %zu of the prior is out of order or stands twice",
                       i);
    before = edge;
  }
  return VQCT_OK;
}

static enum vqct_status check_sizes(const struct prior *prior, struct vqct_error *error) {
  if (prior->adjectives < 1 || prior->nouns < 1)
    return error_set(error, VQCT_MODEL, "the prior has %zu adjectives and %zu nouns, not one each",
                     prior->adjectives, prior->nouns);
  if (prior->words != prior->adjectives + prior->nouns || prior->words > PRIOR_WORDS_MAX)
    return error_set(error, VQCT_MODEL, "the prior claims %zu words; at most %zu are allowed",
                     prior->words, PRIOR_WORDS_MAX);
  if (prior->dimension < 1 || prior->dimension > PRIOR_DIMENSION_MAX)
    return error_set(error, VQCT_MODEL, "the prior's embeddings have %zu dimensions, not 1 to %zu",
                     prior->dimension, PRIOR_DIMENSION_MAX);
  if (prior->edge_count > PRIOR_EDGES_MAX)
    return error_set(error, VQCT_MODEL, "the prior claims %zu edges; at most %zu are allowed",
                     prior->edge_count, PRIOR_EDGES_MAX);
  return VQCT_OK;
}

enum vqct_status prior_check(const struct prior *prior, struct vqct_error *error) {
  enum vqct_status status = check_sizes(prior, error);
  if (status != VQCT_OK)
    return status;
  status = check_words(prior, 0, prior->adjectives, error);
  if (status != VQCT_OK)
    return status;
  status = check_words(prior, prior->adjectives, prior->nouns, error);
  if (status != VQCT_OK)
    return status;
  status = check_edges(prior, error);
  if (status != VQCT_OK)
    return status;
  for (size_t i = 0; i < prior->words * prior->dimension; i++)
    if (!isfinite(prior->embeddings[i]))
      return error_set(error, VQCT_NOT_FINITE,
                       "the embedding of word %zu of the prior, '%.80s', is not finite",
                       i / prior->dimension, prior->word[i / prior->dimension]);
  return VQCT_OK;
}

/* A tensor of the file with the type and dimensions that it must have; a size of 0 in shape is
 * free. */
static enum vqct_status find_tensor(const struct safetensors *file, const char *name,
                                    enum tensor_type type, int dims, const size_t *shape,
                                    const struct tensor **found, struct vqct_error *error) {
  const struct tensor *tensor = safetensors_find(file, name);
  if (!tensor)
    return error_set(error, VQCT_MODEL, "the tensor %s is missing", name);
  bool fits = tensor->type == type && tensor->dims == dims;
  for (int i = 0; fits && i < dims; i++)
    fits = shape[i] == 0 || tensor->shape[i] == shape[i];
  if (!fits)
    return error_set(error, VQCT_MODEL, "the tensor %s is %s %s, which does not fit", name,
                     tensor_type_name(tensor->type),
                     tensor_shape_text(tensor->dims, tensor->shape).text);
  *found = tensor;
  return VQCT_OK;
}

/* Points word[] into a copy of the text tensor. */
static enum vqct_status load_words(struct prior *prior, const struct tensor *text,
                                   struct vqct_error *error) {
  size_t bytes = text->count;
  char *copy = arena_alloc(&prior->memory, bytes);
  const char **word = arena_calloc(&prior->memory, prior->words, sizeof *word);
  if (!copy || !word)
    return error_set(error, VQCT_MEMORY, "no memory for the words of the prior");
  memcpy(copy, text->data, bytes);
  size_t at = 0, row = 0;
  for (; row < prior->words && at < bytes; row++) {
    const char *end = memchr(copy + at, 0, bytes - at);
    if (!end)
      break;
    word[row] = copy + at;
    at = (size_t)(end - copy) + 1;
  }
  if (row != prior->words || at != bytes)
    return error_set(error, VQCT_MODEL, "the tensor words.text does not hold %zu words",
                     prior->words);
  prior->word = word;
  return VQCT_OK;
}

/* The parts tell how many adjectives there are. */
static enum vqct_status load_parts(struct prior *prior, const struct tensor *parts,
                                   struct vqct_error *error) {
  const uint8_t *part = parts->data;
  prior->words = parts->count;
  while (prior->adjectives < prior->words && part[prior->adjectives] == VQCT_ADJECTIVE)
    prior->adjectives++;
  for (size_t row = prior->adjectives; row < prior->words; row++)
    if (part[row] != VQCT_NOUN)
      return error_set(error, VQCT_MODEL, "the tensor words.part has %d at word %zu, not a noun",
                       (int)part[row], row);
  prior->nouns = prior->words - prior->adjectives;
  return VQCT_OK;
}

static void *load_copy(struct prior *prior, const struct tensor *tensor) {
  size_t bytes = tensor->count * tensor_type_size(tensor->type);
  void *copy = arena_alloc(&prior->memory, bytes);
  if (copy && bytes)
    memcpy(copy, tensor->data, bytes);
  return copy;
}

static enum vqct_status load_texts(struct prior *prior, const struct safetensors *file,
                                   struct vqct_error *error) {
  const char *format = safetensors_metadata(file, "format");
  const char *version = safetensors_metadata(file, "version");
  const char *provenance = safetensors_metadata(file, "provenance");
  if (!format || strcmp(format, FORMAT))
    return error_set(error, VQCT_MODEL, "not a prior: its header has no format \"" FORMAT "\"");
  if (!version || strcmp(version, VERSION))
    return error_set(error, VQCT_MODEL, "its version is '%.20s'; this program reads " VERSION,
                     version ? version : "");
  if (!provenance)
    provenance = "{}";
  char *copy = arena_alloc(&prior->memory, strlen(provenance) + 1);
  if (!copy)
    return error_set(error, VQCT_MEMORY, "no memory for the prior");
  prior->provenance = memcpy(copy, provenance, strlen(provenance) + 1);
  return VQCT_OK;
}

static enum vqct_status load(struct prior *prior, const struct safetensors *file,
                             struct vqct_error *error) {
  const struct tensor *text, *parts, *counts, *embeddings, *edges;
  enum vqct_status status = load_texts(prior, file, error);
  if (status != VQCT_OK)
    return status;
  if ((status = find_tensor(file, "words.part", TENSOR_U8, 1, (size_t[]){0}, &parts, error)) ||
      (status = load_parts(prior, parts, error)))
    return status;
  size_t words = prior->words;
  if ((status = find_tensor(file, "words.text", TENSOR_U8, 1, (size_t[]){0}, &text, error)) ||
      (status = find_tensor(file, "words.count", TENSOR_U64, 1, &words, &counts, error)) ||
      (status = find_tensor(file, "embeddings", TENSOR_F32, 2, (size_t[]){words, 0}, &embeddings,
                            error)) ||
      (status = find_tensor(file, "edges", TENSOR_U32, 2, (size_t[]){0, 3}, &edges, error)))
    return status;
  prior->dimension = embeddings->shape[1];
  prior->edge_count = edges->shape[0];
  if ((status = check_sizes(prior, error)) || (status = load_words(prior, text, error)))
    return status;
  prior->count = load_copy(prior, counts);
  prior->embeddings = load_copy(prior, embeddings);
  prior->edges = load_copy(prior, edges);
  if (!prior->count || !prior->embeddings || !prior->edges)
    return error_set(error, VQCT_MEMORY, "no memory for the prior");
  return prior_check(prior, error);
}

enum vqct_status prior_read(const char *path, struct prior *prior, struct vqct_error *error) {
  struct safetensors *file = NULL;
  *prior = (struct prior){0};
  arena_init(&prior->memory, 0);
  enum vqct_status status = safetensors_open(path, &file, error);
  if (status != VQCT_OK)
    return status;
  status = load(prior, file, error);
  safetensors_close(file);
  if (status != VQCT_OK) {
    prior_free(prior);
    error_prefix(error, "%s", path);
  }
  return status;
}

/* All words with their zero bytes, from malloc. */
static char *join_words(const struct prior *prior, size_t *bytes) {
  *bytes = 0;
  for (size_t row = 0; row < prior->words; row++)
    *bytes += strlen(prior->word[row]) + 1;
  char *text = malloc(*bytes), *at = text;
  for (size_t row = 0; text && row < prior->words; row++) {
    size_t size = strlen(prior->word[row]) + 1;
    memcpy(at, prior->word[row], size);
    at += size;
  }
  return text;
}

enum vqct_status prior_write(const char *path, const struct prior *prior,
                             struct vqct_error *error) {
  enum vqct_status status = prior_check(prior, error);
  if (status != VQCT_OK)
    return status;
  size_t bytes, words = prior->words;
  char *text = join_words(prior, &bytes);
  uint8_t *part = malloc(words);
  if (!text || !part) {
    status = error_set(error, VQCT_MEMORY, "no memory to write %s", path);
    goto done;
  }
  for (size_t row = 0; row < words; row++)
    part[row] = row < prior->adjectives ? VQCT_ADJECTIVE : VQCT_NOUN;
  struct tensor tensors[] = {
      {.name = "words.text", .type = TENSOR_U8, .dims = 1, .shape = {bytes}, .data = text},
      {.name = "words.part", .type = TENSOR_U8, .dims = 1, .shape = {words}, .data = part},
      {.name = "words.count",
       .type = TENSOR_U64,
       .dims = 1,
       .shape = {words},
       .data = prior->count},
      {.name = "embeddings",
       .type = TENSOR_F32,
       .dims = 2,
       .shape = {words, prior->dimension},
       .data = prior->embeddings},
      {.name = "edges",
       .type = TENSOR_U32,
       .dims = 2,
       .shape = {prior->edge_count, 3},
       .data = prior->edges},
  };
  const struct safetensors_text texts[] = {
      {"format", FORMAT},
      {"version", VERSION},
      {"provenance", prior->provenance ? prior->provenance : "{}"},
  };
  status = safetensors_save(path, tensors, sizeof tensors / sizeof *tensors, texts,
                            sizeof texts / sizeof *texts, error);
done:
  free(text);
  free(part);
  return status;
}

void prior_free(struct prior *prior) {
  arena_free(&prior->memory);
  *prior = (struct prior){0};
}
