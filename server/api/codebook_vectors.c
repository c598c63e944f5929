/* GET /v1/codebook/vectors: all codes, as a file of npy. It is made when first asked for and then
 * shared by all answers, which hold their model until they are sent: so many clients that read it
 * slowly take no memory of their own. */
#include "accept.h"
#include "choice.h"
#include "npy.h"

static bool make_file(struct engine *engine) {
  size_t shape[] = {engine->info->codes, engine->info->code_dimension};
  size_t row = shape[1] * sizeof(float);
  char header[NPY_HEADER_SIZE];
  struct text file = {0};
  npy_header(TENSOR_F32, 2, shape, header);
  if (text_reserve(&file, sizeof header + shape[0] * row)) {
    text_add(&file, header, sizeof header);
    for (uint32_t token = 0; token < shape[0]; token++) {
      struct vqct_code code;
      vqct_model_code(engine->model, token, &code);
      tensor_from_float(code.vector, shape[1], TENSOR_F32, file.data + file.size);
      file.size += row;
    }
    engine->vectors = file;
  }
  return !file.failed;
}

static void release(void *models) {
  models_release(models);
}

void codebook_vectors_handle(void *context, struct exchange *exchange) {
  static const char *const names[] = {"model", NULL};
  static const char *const offers[] = {"application/x-npy"};
  struct service *service = context;
  struct reply *reply = &exchange->reply;
  if (!exchange_check_query(exchange, names))
    return;
  struct engine *engine = choice_of_query(service, exchange);
  if (!engine)
    return;
  if (accept_choose(exchange_header(exchange, "Accept"), offers, 1) < 0) {
    reply_problem(reply, PROBLEM_NOT_ACCEPTABLE, "offered: %s", offers[0]);
    return;
  }
  reply_header(reply, "X-Vqct-Model", "%.16s", engine->info->checksum);
  if (reply_not_modified(reply, engine->info->checksum, exchange_header(exchange, "If-None-Match")))
    return;
  if (!engine->vectors.size && !make_file(engine)) {
    reply_problem(reply, PROBLEM_OUT_OF_MEMORY, "no memory for the vectors");
    return;
  }
  reply->status = 200;
  reply->type = offers[0];
  reply->fixed = engine->vectors.data;
  reply->fixed_size = engine->vectors.size;
  reply->held = models_retain(service->models);
  reply->release = release;
}
