/* npy and safetensors: a matrix of floats, and the words of its rows in a text file beside it. */
#include "embeddings_forms.h"
#include "error.h"
#include "npy.h"
#include "prior.h"
#include "safetensors.h"

static bool is_matrix(const struct tensor *tensor) {
  return tensor->dims == 2 && tensor_type_is_float(tensor->type);
}

/* Row number `row` of the matrix into store->row. */
static void read_row(struct embeddings_store *store, const struct tensor *matrix, size_t row) {
  size_t dimension = matrix->shape[1];
  struct tensor view = *matrix;
  view.dims = 1;
  view.shape[0] = view.count = dimension;
  view.data = (const char *)matrix->data + row * dimension * tensor_type_size(matrix->type);
  tensor_to_float(&view, store->row);
}

static enum vqct_status read_rows(struct embeddings_store *store, const struct tensor *matrix,
                                  struct byte_stream *words, struct vqct_error *error) {
  const char *list = store->source->words_path;
  struct text_line line;
  for (;;) {
    enum vqct_status status = byte_stream_line(words, &line, error);
    if (status != VQCT_OK)
      return status;
    if (!line.text)
      break;
    if (store->result->rows == matrix->shape[0])
      return error_set(error, VQCT_DATA, "%s:%llu: more words than the %zu rows of %s", list,
                       (unsigned long long)line.number, matrix->shape[0], store->source->path);
    size_t row = (size_t)store->result->rows;
    /* A line longer than any word of a prior cannot be wanted. */
    uint32_t id = embeddings_wants(store, line.text, line.length);
    if (id != WORD_NONE && !line.cut) {
      read_row(store, matrix, row);
      embeddings_take(store, id);
    }
    embeddings_tell(store, (double)row / (double)matrix->shape[0]);
  }
  if (store->result->rows != matrix->shape[0])
    return error_set(error, VQCT_DATA, "%s: %llu words for the %zu rows of %s", list,
                     (unsigned long long)store->result->rows, matrix->shape[0],
                     store->source->path);
  return VQCT_OK;
}

static enum vqct_status read_matrix(struct embeddings_store *store, const struct tensor *matrix,
                                    struct vqct_error *error) {
  struct byte_stream *words;
  enum vqct_status status = embeddings_begin(store, matrix->shape[1], 0, error);
  if (status != VQCT_OK)
    return status;
  status = byte_stream_open(store->source->words_path, PRIOR_WORD_BYTES_MAX + 1, &words, error);
  if (status != VQCT_OK)
    return status;
  status = read_rows(store, matrix, words, error);
  byte_stream_close(words);
  return status;
}

enum vqct_status embeddings_read_npy(struct embeddings_store *store, struct vqct_error *error) {
  struct npy npy;
  enum vqct_status status = npy_open(store->source->path, &npy, error);
  if (status != VQCT_OK)
    return status;
  if (is_matrix(&npy.tensor))
    status = read_matrix(store, &npy.tensor, error);
  else
    status = error_set(error, VQCT_DATA, "%s: %s %s is not a matrix of floats", store->source->path,
                       tensor_type_name(npy.tensor.type),
                       tensor_shape_text(npy.tensor.dims, npy.tensor.shape).text);
  npy_close(&npy);
  return status;
}

/* The tensor "embeddings", or the only matrix of floats; NULL where there is none or several. */
static const struct tensor *find_matrix(const struct safetensors *file) {
  const struct tensor *only = safetensors_find(file, "embeddings");
  if (only)
    return is_matrix(only) ? only : NULL;
  for (size_t i = 0; i < safetensors_count(file); i++) {
    const struct tensor *tensor = safetensors_tensor(file, i);
    if (!is_matrix(tensor))
      continue;
    if (only)
      return NULL;
    only = tensor;
  }
  return only;
}

enum vqct_status embeddings_read_safetensors(struct embeddings_store *store,
                                             struct vqct_error *error) {
  struct safetensors *file;
  enum vqct_status status = safetensors_open(store->source->path, &file, error);
  if (status != VQCT_OK)
    return status;
  const struct tensor *matrix = find_matrix(file);
  if (matrix)
    status = read_matrix(store, matrix, error);
  else
    status = error_set(error, VQCT_DATA,
                       "%s: neither a matrix of floats 'embeddings' nor just one such matrix",
                       store->source->path);
  safetensors_close(file);
  return status;
}
