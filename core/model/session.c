/* A session has one team of threads and one arena for each of them. Of N pictures, as many as fill
 * the team evenly are spread over it, each computed whole by one thread in its own arena, which
 * needs no waiting between layers; the rest, such as a lone picture, are computed one after another
 * by all threads together in the first arena. Both ways give the same bits, since the kernels split
 * their work by the layer's shape alone.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "error.h"
#include "fit.h"
#include "model.h"
#include "session.h"
#include "size.h"

#define THREADS_MAX 1024
#define SIDE_MAX    32768                /* pixels */
#define PIXELS_MAX  ((uint64_t)64 << 20) /* of one picture */
/* Bytes: larger pictures are not computed side by side. */
#define SPREAD_MEMORY ((size_t)512 << 20)
/* Bytes that a seat keeps for the next call; what a larger picture took is given back. */
#define KEPT_MEMORY ((size_t)128 << 20)

/* The memory of one picture in work. */
struct seat {
  struct arena arena;
  struct vqct_error error; /* of the first picture of this call that failed here */
  size_t failed;           /* its number; SIZE_MAX: none */
};

struct vqct_session {
  const struct vqct_model *model;
  struct pool *pool; /* NULL: one thread */
  unsigned threads;
  struct seat *seat; /* threads of them */
  struct exec_stop stop;
};

enum vqct_status vqct_session_new(const struct vqct_model *model, unsigned threads,
                                  struct vqct_session **result, struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  *result = NULL;
  if (threads > THREADS_MAX)
    return error_set(error, VQCT_INVALID, "%u threads: from 1 to %d are possible", threads,
                     THREADS_MAX);
  struct vqct_session *session = calloc(1, sizeof *session);
  if (!session)
    return error_set(error, VQCT_MEMORY, "no memory for a session");
  session->model = model;
  session->threads = cpu_threads(threads);
  if (session->threads > THREADS_MAX)
    session->threads = THREADS_MAX;
  session->seat = calloc(session->threads, sizeof *session->seat);
  if (!session->seat)
    status = error_set(error, VQCT_MEMORY, "no memory for %u threads", session->threads);
  else if (session->threads > 1)
    status = pool_new(session->threads, &session->pool, error);
  if (status != VQCT_OK) {
    vqct_session_free(session);
    return status;
  }
  *result = session;
  return VQCT_OK;
}

void vqct_session_free(struct vqct_session *session) {
  if (!session)
    return;
  pool_free(session->pool);
  for (unsigned i = 0; session->seat && i < session->threads; i++)
    arena_free(&session->seat[i].arena);
  free(session->seat);
  free(session);
}

void vqct_session_stop_when(struct vqct_session *session, bool (*asked)(void *context),
                            void *context) {
  session->stop = (struct exec_stop){asked, context};
}

/* ---- one picture ----------------------------------------------------------------------------- */

/* What one call computes. */
struct session_batch {
  struct vqct_session *session;
  size_t images;
  size_t spread;     /* how many of them, the first, are computed side by side */
  int height, width; /* of the pictures, pixels */
  int grid_height, grid_width;
  /* encode: read, written; decode: written, read */
  const uint8_t *const *pixels_in;
  uint32_t *const *tokens_out;
  float *const *encodings_out; /* encode, or NULL */
  const uint32_t *const *tokens_in;
  uint8_t *const *pixels_out;
};

static enum vqct_status picture_encode(const struct session_batch *batch, size_t image,
                                       const struct exec *exec, struct vqct_error *error) {
  const struct vqct_model *model = batch->session->model;
  struct activation x = {.images = 1,
                         .height = batch->height,
                         .width = batch->width,
                         .channels = model->file.config.image_channels};
  struct activation z;
  size_t count = activation_image_size(&x);
  enum vqct_status status = activation_allocate(&x, 0, exec->arena, error);
  if (status != VQCT_OK)
    return status;
  fit_floats(batch->pixels_in[image], count, x.data);
  status = chain_forward(&model->network->encoder, &x, &z, NULL, exec, error);
  if (status != VQCT_OK)
    return status;
  if (batch->encodings_out)
    memcpy(batch->encodings_out[image], z.data, activation_image_size(&z) * sizeof *z.data);
  return quantizer_encode(&model->quantizer, z.data, (size_t)z.height * (size_t)z.width,
                          batch->tokens_out[image], exec, error);
}

static enum vqct_status picture_decode(const struct session_batch *batch, size_t image,
                                       const struct exec *exec, struct vqct_error *error) {
  const struct vqct_model *model = batch->session->model;
  struct activation z = {.images = 1,
                         .height = batch->grid_height,
                         .width = batch->grid_width,
                         .channels = model_config_code_channels(&model->file.config)};
  struct activation y;
  enum vqct_status status = activation_allocate(&z, 0, exec->arena, error);
  if (status != VQCT_OK)
    return status;
  status = quantizer_decode(&model->quantizer, batch->tokens_in[image],
                            (size_t)z.height * (size_t)z.width, z.data, error);
  if (status != VQCT_OK)
    return status;
  status = chain_forward(&model->network->decoder, &z, &y, NULL, exec, error);
  if (status != VQCT_OK)
    return status;
  if (!fit_bytes(y.data, activation_image_size(&y), batch->pixels_out[image]))
    return error_set(error, VQCT_NOT_FINITE, "the decoder's output has NaN or infinity");
  return VQCT_OK;
}

/* ---- a batch --------------------------------------------------------------------------------- */

static void compute_picture(const struct session_batch *batch, size_t image, struct pool *pool,
                            struct seat *seat) {
  struct vqct_error error;
  struct exec exec = {.pool = pool, .arena = &seat->arena};
  if (batch->session->stop.asked)
    exec.stop = &batch->session->stop;
  struct arena_mark mark = arena_mark(&seat->arena);
  enum vqct_status status = batch->pixels_in ? picture_encode(batch, image, &exec, &error)
                                             : picture_decode(batch, image, &exec, &error);
  arena_release(&seat->arena, mark);
  if (status != VQCT_OK && image < seat->failed) {
    seat->failed = image;
    seat->error = error;
  }
}

/* Every seat gets equally many pictures whatever thread comes to it, so that after one batch all
 * have the memory that they need. */
static void spread_task(void *argument, size_t number, unsigned worker) {
  const struct session_batch *batch = argument;
  size_t share = batch->spread / batch->session->threads;
  (void)worker;
  for (size_t i = number * share; i < (number + 1) * share; i++)
    compute_picture(batch, i, NULL, &batch->session->seat[number]);
}

/* Reports the failed picture of the lowest number, whatever order they were computed in. */
static enum vqct_status first_failure(const struct session_batch *batch, struct vqct_error *error) {
  const struct seat *first = &batch->session->seat[0];
  for (unsigned i = 1; i < batch->session->threads; i++)
    if (batch->session->seat[i].failed < first->failed)
      first = &batch->session->seat[i];
  if (first->failed == SIZE_MAX)
    return VQCT_OK;
  error_set(error, first->error.status, "%s", first->error.message);
  return batch->images == 1 || !error ? first->error.status
                                      : error_prefix(error, "picture %zu", first->failed);
}

bool session_encodes_apart(const struct vqct_model *model, uint32_t height, uint32_t width) {
  return chain_memory(&model->network->encoder, (int)height, (int)width) <= SPREAD_MEMORY;
}

static enum vqct_status session_batch_run(struct session_batch *batch, struct vqct_error *error) {
  struct vqct_session *session = batch->session;
  const struct vqct_model *model = session->model;
  bool apart = batch->pixels_in
                   ? session_encodes_apart(model, (uint32_t)batch->height, (uint32_t)batch->width)
                   : chain_memory(&model->network->decoder, batch->grid_height,
                                  batch->grid_width) <= SPREAD_MEMORY;
  if (session->threads > 1 && apart)
    batch->spread = batch->images - batch->images % session->threads;
  for (unsigned i = 0; i < session->threads; i++)
    session->seat[i].failed = SIZE_MAX;
  if (batch->spread)
    pool_run(session->pool, session->threads, spread_task, batch);
  for (size_t i = batch->spread; i < batch->images; i++)
    compute_picture(batch, i, session->pool, &session->seat[0]);
  for (unsigned i = 0; i < session->threads; i++)
    arena_gather(&session->seat[i].arena, KEPT_MEMORY);
  return first_failure(batch, error);
}

/* What attention takes is known before it is paid. */
static enum vqct_status check_attention(const struct session_batch *batch,
                                        struct vqct_error *error) {
  const struct network *network = batch->session->model->network;
  uint64_t flops =
      batch->pixels_in
          ? chain_attention_flops(&network->encoder, batch->height, batch->width)
          : chain_attention_flops(&network->decoder, batch->grid_height, batch->grid_width);
  if (flops <= VQCT_ATTENTION_FLOPS_MAX)
    return VQCT_OK;
  return error_set(error, VQCT_LIMIT,
                   "the attention of a picture of this size takes %.3g floating-point operations; "
                   "%.3g are allowed, so make it smaller",
                   (double)flops, (double)VQCT_ATTENTION_FLOPS_MAX);
}

static enum vqct_status check_size(uint64_t height, uint64_t width, struct vqct_error *error) {
  if (height > SIDE_MAX || width > SIDE_MAX || height * width > PIXELS_MAX)
    return error_set(error, VQCT_LIMIT,
                     "a picture of %llu x %llu pixels is larger than the limits, %d a side and "
                     "%llu in all",
                     (unsigned long long)width, (unsigned long long)height, SIDE_MAX,
                     (unsigned long long)PIXELS_MAX);
  return VQCT_OK;
}

enum vqct_status vqct_encode(struct vqct_session *session, const uint8_t *const *pixels,
                             size_t images, uint32_t height, uint32_t width,
                             uint32_t *const *tokens, struct vqct_error *error) {
  return vqct_encode_vectors(session, pixels, images, height, width, tokens, NULL, error);
}

enum vqct_status vqct_encode_vectors(struct vqct_session *session, const uint8_t *const *pixels,
                                     size_t images, uint32_t height, uint32_t width,
                                     uint32_t *const *tokens, float *const *encodings,
                                     struct vqct_error *error) {
  uint32_t factor = session->model->info.downsampling;
  if (height == 0 || width == 0 || height % factor || width % factor)
    return error_set(error, VQCT_INVALID,
                     "a picture of %u x %u pixels: both sides must be multiples of %u", width,
                     height, factor);
  enum vqct_status status = check_size(height, width, error);
  if (status != VQCT_OK)
    return status;
  struct session_batch batch = {.session = session,
                                .images = images,
                                .height = (int)height,
                                .width = (int)width,
                                .pixels_in = pixels,
                                .tokens_out = tokens,
                                .encodings_out = encodings};
  status = check_attention(&batch, error);
  if (status != VQCT_OK || !images)
    return status;
  return session_batch_run(&batch, error);
}

enum vqct_status vqct_decode(struct vqct_session *session, const uint32_t *const *tokens,
                             size_t images, uint32_t grid_height, uint32_t grid_width,
                             uint8_t *const *pixels, struct vqct_error *error) {
  uint64_t factor = session->model->info.downsampling;
  if (!session->model->network->decoder.blocks)
    return error_set(error, VQCT_INVALID, "the model has no decoder: it only encodes");
  if (grid_height == 0 || grid_width == 0)
    return error_set(error, VQCT_INVALID, "a grid of %u x %u tokens is empty", grid_width,
                     grid_height);
  enum vqct_status status = check_size(grid_height * factor, grid_width * factor, error);
  if (status != VQCT_OK)
    return status;
  struct session_batch batch = {.session = session,
                                .images = images,
                                .grid_height = (int)grid_height,
                                .grid_width = (int)grid_width,
                                .tokens_in = tokens,
                                .pixels_out = pixels};
  status = check_attention(&batch, error);
  if (status != VQCT_OK || !images)
    return status;
  return session_batch_run(&batch, error);
}
