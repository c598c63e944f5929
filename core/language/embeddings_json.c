/* The JSON of the npm packages wink-embeddings-sg-*d: an object with "dimensions", some lists, and
 * "vectors", an object of one array a word: D numbers, then the vector's length and the word's
 * rank, which are not needed here. */
#include "embeddings_forms.h"
#include "error.h"
#include "json_stream.h"
#include "prior.h"

static enum vqct_status expect(struct json_stream *json, enum json_event wanted,
                               const char *expected, struct vqct_error *error) {
  enum json_event event;
  enum vqct_status status = json_stream_next(json, &event, error);
  if (status != VQCT_OK)
    return status;
  return event == wanted ? VQCT_OK : json_stream_fault(json, expected, error);
}

/* The array of a wanted word. */
static enum vqct_status read_vector(struct embeddings_store *store, struct json_stream *json,
                                    uint32_t id, struct vqct_error *error) {
  size_t dimension = store->result->dimension, count = 0;
  enum vqct_status status = expect(json, JSON_EVENT_ARRAY_BEGIN, "an array of numbers", error);
  if (status != VQCT_OK)
    return status;
  for (;;) {
    enum json_event event;
    status = json_stream_next(json, &event, error);
    if (status != VQCT_OK)
      return status;
    if (event == JSON_EVENT_ARRAY_END)
      break;
    if (event != JSON_EVENT_NUMBER)
      return json_stream_fault(json, "a number", error);
    if (count < dimension)
      store->row[count] = (float)json_stream_number(json);
    count++;
  }
  if (count < dimension) {
    json_stream_fault(json, "more numbers", error);
    return error_prefix(error, "'%s' has %zu of %zu numbers", word_table_text(store->wanted, id),
                        count, dimension);
  }
  embeddings_take(store, id);
  return VQCT_OK;
}

static enum vqct_status read_vectors(struct embeddings_store *store, struct byte_stream *bytes,
                                     struct json_stream *json, struct vqct_error *error) {
  if (!store->result->dimension)
    return json_stream_fault(json, "\"dimensions\" before \"vectors\"", error);
  enum vqct_status status = expect(json, JSON_EVENT_OBJECT_BEGIN, "an object of vectors", error);
  if (status != VQCT_OK)
    return status;
  for (;;) {
    enum json_event event;
    status = json_stream_next(json, &event, error);
    if (status != VQCT_OK || event == JSON_EVENT_OBJECT_END)
      return status;
    size_t length;
    const char *word = json_stream_text(json, &length);
    uint32_t id = embeddings_wants(store, word, length);
    status = id == WORD_NONE ? json_stream_skip(json, error) : read_vector(store, json, id, error);
    if (status != VQCT_OK)
      return status;
    embeddings_tell(store, byte_stream_progress(bytes));
  }
}

static enum vqct_status read_dimension(struct embeddings_store *store, struct json_stream *json,
                                       struct vqct_error *error) {
  enum vqct_status status = expect(json, JSON_EVENT_NUMBER, "the number of dimensions", error);
  if (status != VQCT_OK)
    return status;
  double dimension = json_stream_number(json);
  if (store->result->dimension || !(dimension >= 1 && dimension <= (double)PRIOR_DIMENSION_MAX))
    return json_stream_fault(json, "one number of dimensions, from 1 to 65536", error);
  return embeddings_begin(store, (size_t)dimension, 0, error);
}

static enum vqct_status read_members(struct embeddings_store *store, struct byte_stream *bytes,
                                     struct json_stream *json, struct vqct_error *error) {
  bool vectors = false;
  enum vqct_status status = expect(json, JSON_EVENT_OBJECT_BEGIN, "an object", error);
  if (status != VQCT_OK)
    return status;
  for (;;) {
    enum json_event event;
    status = json_stream_next(json, &event, error);
    if (status != VQCT_OK)
      return status;
    if (event == JSON_EVENT_OBJECT_END)
      break;
    if (json_stream_text_is(json, "dimensions")) {
      status = read_dimension(store, json, error);
    } else if (json_stream_text_is(json, "vectors")) {
      vectors = true;
      status = read_vectors(store, bytes, json, error);
    } else {
      status = json_stream_skip(json, error);
    }
    if (status != VQCT_OK)
      return status;
  }
  if (!vectors)
    return json_stream_fault(json, "\"dimensions\" and \"vectors\" in the object", error);
  return expect(json, JSON_EVENT_END, "the end of the file", error);
}

enum vqct_status embeddings_read_json(struct embeddings_store *store, struct byte_stream *bytes,
                                      struct vqct_error *error) {
  struct json_stream *json;
  enum vqct_status status = json_stream_open(bytes, &json, error);
  if (status != VQCT_OK)
    return status;
  status = read_members(store, bytes, json, error);
  json_stream_close(json);
  return status;
}
