/* JSON is turned into the tree of values that a pickle gives, so that both are read alike. Rows are
 * settled by the dictionaries of counts alone; vectors and ends of edges find theirs by word, in
 * tables, so that the time grows with the file.
 */
#include "prior_convert.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "mapped_file.h"
#include "pickle.h"
#include "prior_edges.h"
#include "prior_vector.h"
#include "unfold.h"
#include "vqct/codebook.h"
#include "word_table.h"

#define COUNT_LEAST 11                /* of a word that is kept */
#define JSON_MAX    ((size_t)1 << 30) /* bytes */
#define JSON_DEPTH  4                 /* of the object, its parts, their entries and numbers */

struct converting {
  struct prior *prior;
  const struct pickle_value *root;
  struct word_table words; /* of both parts of speech */
  uint32_t *row;           /* of each word: its last, a noun's where it is both */
  uint64_t bytes;          /* of the file */
  struct vqct_error *error;
};

static enum vqct_status exhausted(const struct converting *c) {
  return error_set(c->error, VQCT_MEMORY, "no memory for the words");
}

/* ---- words ----------------------------------------------------------------------------------- */

static const struct pickle_value *find_dict(const struct converting *c, const char *key) {
  const struct pickle_value *value = pickle_find(c->root, key);
  if (value && value->kind == PICKLE_DICT)
    return value;
  error_set(c->error, VQCT_MODEL, "there is no dictionary \"%s\"", key);
  return NULL;
}

static bool is_kept(const struct pickle_value *count) {
  return count->kind == PICKLE_INTEGER && count->integer >= COUNT_LEAST;
}

static size_t count_kept(const struct pickle_value *counts) {
  size_t kept = 0;
  for (size_t i = 1; i < counts->count; i += 2)
    kept += is_kept(counts->item[i]);
  return kept;
}

/* The words of one part of speech, from row `first` on. */
static enum vqct_status place_words(struct converting *c, const struct pickle_value *counts,
                                    const char **word, uint64_t *count, size_t first) {
  for (size_t i = 0; i < counts->count; i += 2) {
    const struct pickle_value *key = counts->item[i];
    uint32_t id;
    if (!is_kept(counts->item[i + 1]))
      continue;
    if (key->kind != PICKLE_TEXT || strlen(key->text) != key->count)
      return error_set(c->error, VQCT_MODEL, "word %zu is not a text", i / 2);
    char *copy = arena_alloc(&c->prior->memory, key->count + 1);
    if (!copy || !word_table_add(&c->words, key->text, key->count, &id))
      return exhausted(c);
    word[first] = memcpy(copy, key->text, key->count + 1);
    count[first] = (uint64_t)counts->item[i + 1]->integer;
    c->row[id] = (uint32_t)first++;
  }
  return VQCT_OK;
}

static enum vqct_status read_words(struct converting *c) {
  struct prior *prior = c->prior;
  const struct pickle_value *adjectives = find_dict(c, "adj_code_book_num"), *nouns;
  if (!adjectives || !(nouns = find_dict(c, "noun_code_book_num")))
    return VQCT_MODEL;
  prior->adjectives = count_kept(adjectives);
  prior->nouns = count_kept(nouns);
  prior->words = prior->adjectives + prior->nouns;
  const char **word = arena_calloc(&prior->memory, prior->words, sizeof *word);
  uint64_t *count = arena_calloc(&prior->memory, prior->words, sizeof *count);
  c->row = calloc(prior->words + 1, sizeof *c->row);
  if (!word || !count || !c->row)
    return exhausted(c);
  prior->word = word;
  prior->count = count;
  enum vqct_status status = place_words(c, adjectives, word, count, 0);
  return status ? status : place_words(c, nouns, word, count, prior->adjectives);
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* Room for vectors of so many numbers, as the first one has. */
static enum vqct_status embeddings_new(struct converting *c, size_t count, float **embeddings) {
  struct prior *prior = c->prior;
  if (!count || count > PRIOR_DIMENSION_MAX)
    return error_set(c->error, VQCT_MODEL, "vectors of %zu numbers; 1 to %zu are read", count,
                     PRIOR_DIMENSION_MAX);
  if (prior->words > unfold_most(c->bytes) / (count * sizeof **embeddings))
    return error_set(c->error, VQCT_MODEL,
                     "%zu words of %zu numbers are more than %d times what the file holds",
                     prior->words, count, UNFOLD_RATIO);
  prior->dimension = count;
  *embeddings = arena_calloc(&prior->memory, prior->words, count * sizeof **embeddings);
  return *embeddings ? VQCT_OK : exhausted(c);
}

static enum vqct_status read_vector(struct converting *c, const struct pickle_value *value,
                                    size_t row, float **embeddings) {
  struct prior *prior = c->prior;
  float *values = NULL;
  size_t count = 0;
  if (!value)
    return error_set(c->error, VQCT_MODEL, "'%.80s' has no vector", prior->word[row]);
  enum vqct_status status = prior_vector_read(value, &values, &count, c->error);
  if (status)
    return error_prefix(c->error, "'%.80s'", prior->word[row]);
  if (!*embeddings)
    status = embeddings_new(c, count, embeddings);
  else if (count != prior->dimension)
    status = error_set(c->error, VQCT_MODEL, "'%.80s' has a vector of %zu numbers, others of %zu",
                       prior->word[row], count, prior->dimension);
  if (!status)
    memcpy(*embeddings + row * count, values, count * sizeof *values);
  free(values);
  return status;
}

/* The vectors of the rows from `first` up to `end`. The table of their words makes the time
 * proportional to the file. */
static enum vqct_status read_part(struct converting *c, const char *key, size_t first, size_t end,
                                  float **embeddings) {
  const struct pickle_value *vectors = find_dict(c, key), **value;
  struct word_table words = {0};
  enum vqct_status status = VQCT_OK;
  uint32_t id;
  if (!vectors)
    return VQCT_MODEL;
  value = calloc(vectors->count / 2 + 1, sizeof *value);
  if (!value)
    return exhausted(c);
  for (size_t i = 0; !status && i < vectors->count; i += 2) {
    const struct pickle_value *word = vectors->item[i];
    if (word->kind != PICKLE_TEXT || strlen(word->text) != word->count)
      continue;
    if (word_table_add(&words, word->text, word->count, &id))
      value[id] = vectors->item[i + 1];
    else
      status = exhausted(c);
  }
  for (size_t row = first; !status && row < end; row++) {
    id = word_table_find(&words, c->prior->word[row], strlen(c->prior->word[row]));
    status = read_vector(c, id == WORD_NONE ? NULL : value[id], row, embeddings);
  }
  word_table_free(&words);
  free(value);
  return status;
}

static enum vqct_status read_vectors(struct converting *c) {
  const struct prior *prior = c->prior;
  float *embeddings = NULL;
  enum vqct_status status = read_part(c, "adj_code_book_vec", 0, prior->adjectives, &embeddings);
  if (status)
    return status;
  status = read_part(c, "noun_code_book_vec", prior->adjectives, prior->words, &embeddings);
  c->prior->embeddings = embeddings;
  return status;
}

/* ---- edges ----------------------------------------------------------------------------------- */

/* The row of one end of a pair; WORD_NONE where the word is not kept. */
static bool read_end(const struct converting *c, const struct pickle_value *pair, size_t end,
                     uint32_t *row) {
  const struct pickle_value *word = pickle_item(pair, end);
  if (!word || word->kind != PICKLE_TEXT)
    return false;
  uint32_t id = word_table_find(&c->words, word->text, word->count);
  *row = id == WORD_NONE ? WORD_NONE : c->row[id];
  return true;
}

static enum vqct_status read_edges(struct converting *c) {
  const struct pickle_value *pairs = pickle_find(c->root, "adj_noun_edges");
  if (!pairs || pairs->kind != PICKLE_LIST)
    return error_set(c->error, VQCT_MODEL, "there is no list \"adj_noun_edges\"");
  struct prior_edge *edges = arena_calloc(&c->prior->memory, pairs->count, sizeof *edges);
  size_t count = 0;
  if (!edges)
    return exhausted(c);
  for (size_t i = 0; i < pairs->count; i++) {
    uint32_t ends[2];
    if (!read_end(c, pairs->item[i], 0, &ends[0]) || !read_end(c, pairs->item[i], 1, &ends[1]))
      return error_set(c->error, VQCT_MODEL, "adj_noun_edges: item %zu is not a pair of words", i);
    if (ends[0] != WORD_NONE && ends[1] != WORD_NONE)
      edges[count++] = (struct prior_edge){ends[0], ends[1], 1};
  }
  c->prior->edges = edges;
  c->prior->edge_count = prior_edges_merge(edges, count);
  return VQCT_OK;
}

/* ---- files ----------------------------------------------------------------------------------- */

static struct pickle_value *from_json(struct arena *memory, const json_t *json, int depth);

static struct pickle_value *items_from_json(struct arena *memory, const json_t *json, int depth) {
  bool object = json_is_object(json);
  struct pickle_value *list = arena_calloc(memory, 1, sizeof *list);
  size_t count = object ? 2 * json_object_size(json) : json_array_size(json);
  const char *key;
  json_t *value;
  if (!list || !(list->item = arena_calloc(memory, count, sizeof *list->item)))
    return NULL;
  list->kind = object ? PICKLE_DICT : PICKLE_LIST;
  for (size_t i = 0; !object && i < count; i++) {
    list->item[list->count++] = from_json(memory, json_array_get(json, i), depth + 1);
    if (!list->item[i])
      return NULL;
  }
  json_object_foreach((json_t *)(uintptr_t)json, key, value) {
    struct pickle_value *text = arena_calloc(memory, 1, sizeof *text);
    struct pickle_value *item = from_json(memory, value, depth + 1);
    if (!text || !item)
      return NULL;
    *text = (struct pickle_value){.kind = PICKLE_TEXT, .count = strlen(key), .text = key};
    list->item[list->count++] = text;
    list->item[list->count++] = item;
  }
  return list;
}

/* The values that a pickle of the same content has; what lies deeper than anything that is needed
 * becomes nothing. NULL where memory is exhausted. */
static struct pickle_value *from_json(struct arena *memory, const json_t *json, int depth) {
  if (depth < JSON_DEPTH && (json_is_object(json) || json_is_array(json)))
    return items_from_json(memory, json, depth);
  struct pickle_value *value = arena_calloc(memory, 1, sizeof *value);
  if (!value)
    return NULL;
  if (json_is_string(json))
    *value = (struct pickle_value){
        .kind = PICKLE_TEXT, .count = json_string_length(json), .text = json_string_value(json)};
  else if (json_is_integer(json))
    *value = (struct pickle_value){.kind = PICKLE_INTEGER, .integer = json_integer_value(json)};
  else if (json_is_real(json))
    *value = (struct pickle_value){.kind = PICKLE_REAL, .real = json_real_value(json)};
  return value;
}

static enum vqct_status read_all(struct converting *c) {
  enum vqct_status status = read_words(c);
  if (status)
    return status;
  status = read_vectors(c);
  if (status)
    return status;
  status = read_edges(c);
  if (status)
    return status;
  return prior_check(c->prior, c->error);
}

static enum vqct_status convert(struct prior *prior, const struct pickle_value *root,
                                uint64_t bytes, struct vqct_error *error) {
  struct vqct_error unused = {VQCT_OK, ""};
  struct converting c = {
      .prior = prior, .root = root, .bytes = bytes, .error = error ? error : &unused};
  enum vqct_status status = read_all(&c);
  prior->provenance = "{\"source\":\"words of a released VQCT\"}";
  word_table_free(&c.words);
  free(c.row);
  return status;
}

static size_t bytes_of_mark(const struct mapped_file *file) {
  return file->size > 2 && memcmp(file->data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static enum vqct_status convert_json(const struct mapped_file *file, struct prior *prior,
                                     struct vqct_error *error) {
  json_error_t fault;
  struct arena memory;
  if (file->size > JSON_MAX)
    return error_set(error, VQCT_MODEL, "JSON of more than %zu MiB", JSON_MAX >> 20);
  size_t mark = bytes_of_mark(file);
  json_t *json = json_loadb((const char *)file->data + mark, file->size - mark,
                            JSON_REJECT_DUPLICATES, &fault);
  if (!json)
    return error_set(error, VQCT_MODEL, "line %d: %s", fault.line, fault.text);
  arena_init(&memory, 0);
  const struct pickle_value *root = from_json(&memory, json, 0);
  enum vqct_status status = root ? convert(prior, root, file->size, error)
                                 : error_set(error, VQCT_MEMORY, "no memory for the words");
  arena_free(&memory);
  json_decref(json);
  return status;
}

static enum vqct_status convert_pickle(const struct mapped_file *file, struct prior *prior,
                                       struct vqct_error *error) {
  struct pickle pickle;
  enum vqct_status status = pickle_read("words", file->data, file->size, &pickle, error);
  if (!status)
    status = convert(prior, pickle.root, file->size, error);
  pickle_free(&pickle);
  return status;
}

/* A safetensors file begins with the length of its header, below 2^56, and the header. */
static bool is_safetensors(const struct mapped_file *file) {
  return file->size > 8 && file->data[7] == 0 && file->data[8] == '{';
}

/* After a byte order mark, if there is one. */
static bool is_json(const struct mapped_file *file) {
  size_t at = bytes_of_mark(file);
  while (at < file->size && strchr(" \t\r\n", file->data[at]) && file->data[at])
    at++;
  return at < file->size && file->data[at] == '{';
}

/* A dictionary's begins with its protocol, a mark (protocol 0) or the dictionary (1). */
static bool is_pickle(const struct mapped_file *file) {
  return file->size && (file->data[0] == 0x80 || file->data[0] == '(' || file->data[0] == '}');
}

enum vqct_status prior_convert(const char *path, struct prior *prior, struct vqct_error *error) {
  struct mapped_file file;
  *prior = (struct prior){0};
  enum vqct_status status = mapped_file_open(path, &file, error);
  if (status)
    return status;
  if (is_safetensors(&file)) {
    mapped_file_close(&file);
    return prior_read(path, prior, error);
  }
  arena_init(&prior->memory, 0);
  if (is_json(&file))
    status = convert_json(&file, prior, error);
  else if (is_pickle(&file))
    status = convert_pickle(&file, prior, error);
  else
    status = error_set(error, VQCT_MODEL, "neither a prior, nor a pickle or JSON of words");
  mapped_file_close(&file);
  if (!status)
    return VQCT_OK;
  prior_free(prior);
  return error_prefix(error, "%s", path);
}
