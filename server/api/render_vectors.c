/* The answers of encode with ?vectors=: npy or packed numbers, 32 bits each. */
#include <stdlib.h>

#include "npy.h"
#include "render.h"

/* The vectors of a picture, positions after one another; *owned is to be freed. NULL where memory
 * fails. */
static const float *find_vectors(const struct request *request, const struct picture *picture,
                                 float **owned) {
  struct vqct_error error;
  *owned = NULL;
  if (picture->encodings)
    return picture->encodings;
  size_t positions = (size_t)picture->job.grid_height * picture->job.grid_width;
  *owned = malloc(picture_vector_numbers(request, picture) * sizeof **owned);
  if (*owned)
    vqct_model_vectors(request->engine->model, picture->tokens, positions, *owned, &error);
  return *owned;
}

/* Writes channel after channel, each over the grid. */
static void add_planes(struct text *text, const float *vectors, size_t positions, size_t channels) {
  if (!text_reserve(text, positions * channels * sizeof *vectors))
    return;
  for (size_t c = 0; c < channels; c++)
    for (size_t t = 0; t < positions; t++) {
      tensor_from_float(&vectors[t * channels + c], 1, TENSOR_F32, text->data + text->size);
      text->size += sizeof *vectors;
    }
}

/* Sums in double and in order, so that the mean has the same bits however the picture came. */
static void add_mean(struct text *text, const float *vectors, size_t positions, size_t channels) {
  for (size_t c = 0; c < channels; c++) {
    double sum = 0;
    float packed;
    for (size_t t = 0; t < positions; t++)
      sum += (double)vectors[t * channels + c];
    float mean = (float)(sum / (double)positions);
    tensor_from_float(&mean, 1, TENSOR_F32, &packed);
    text_add(text, &packed, sizeof packed);
  }
}

static void add_picture(struct request *request, const struct picture *picture) {
  size_t positions = (size_t)picture->job.grid_height * picture->job.grid_width;
  float *owned;
  const float *vectors = find_vectors(request, picture, &owned);
  if (!vectors)
    request->reply.body.failed = true;
  else
    (request->mean ? add_mean : add_planes)(&request->reply.body, vectors, positions,
                                            request->engine->info->vector_dimension);
  free(owned);
}

static void add_head(struct request *request) {
  const struct job *first = &request->pictures[0].job;
  size_t shape[] = {request->count, request->engine->info->vector_dimension, first->grid_height,
                    first->grid_width};
  size_t skipped = request->many ? 0 : 1;
  int dims = (request->mean ? 2 : 4) - (int)skipped;
  bool npy = request->output == FORM_NPY;
  request->reply.type = npy ? "application/x-npy" : "application/octet-stream";
  if (npy) {
    char header[NPY_HEADER_SIZE];
    npy_header(TENSOR_F32, dims, shape + skipped, header);
    text_add(&request->reply.body, header, sizeof header);
  }
  if (request->mean)
    reply_header(&request->reply, "X-Vqct-Shape", "%zu,%zu", shape[0], shape[1]);
  else
    reply_header(&request->reply, "X-Vqct-Shape", "%zu,%zu,%zu,%zu", shape[0], shape[1], shape[2],
                 shape[3]);
}

void render_vectors(struct request *request) {
  if (!render_possible(request))
    return;
  request->reply.status = 200;
  render_headers(request);
  add_head(request);
  for (size_t i = 0; i < request->count; i++)
    add_picture(request, &request->pictures[i]);
}
