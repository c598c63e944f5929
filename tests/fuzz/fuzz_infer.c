/* Whatever bytes arrive as an inference request, or as tokens in JSON, npy or packed: a refused
 * request, or as many pictures as its bounds allow, with tokens that are codes of their planes. The
 * first byte says what the rest is, the next two where its JSON ends. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "prepare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IMAGES 3
#define PIXELS 4096

static const struct vqct_plane planes[] = {{"adjective", 0, 3}, {"noun", 3, 5}};
static const struct vqct_model_info info = {.name = "fuzzed",
                                            .checksum = "00",
                                            .downsampling = 4,
                                            .channels = 3,
                                            .planes = 2,
                                            .plane = planes,
                                            .codes = 8,
                                            .encode_flops = 1,
                                            .decode_flops = 1};

static void demand(bool condition) {
  if (!condition)
    abort();
}

static void check(const struct request *request) {
  demand(request->count <= IMAGES);
  for (size_t i = 0; i < request->count && !request->refused; i++) {
    const struct picture *picture = &request->pictures[i];
    if (picture->failed || !request->ready)
      continue;
    demand(job_pixels(&picture->job) <= PIXELS && picture->image.pixels);
    if (request->kind == REQUEST_ENCODE)
      continue;
    size_t cells = picture_tokens(request, picture) / info.planes;
    for (size_t j = 0; j < info.planes * cells; j++) {
      const struct vqct_plane *plane = &planes[j / cells];
      demand(picture->tokens[j] >= plane->first &&
             picture->tokens[j] < plane->first + plane->count);
    }
  }
}

static void prepare(struct request *request) {
  if (request->input == FORM_INFER)
    infer_read(request);
  else if (request->kind == REQUEST_DECODE)
    prepare_tokens(request);
  else
    read_pictures(request);
  check(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const enum form forms[] = {FORM_INFER, FORM_JSON, FORM_NPY, FORM_PACKED};
  if (size < 3)
    return 0;
  static struct service service;
  static struct engine engine = {.name = "fuzzed", .info = &info, .references = 2};
  struct exchange exchange = {0};
  struct models *models;
  struct vqct_error error;
  struct engine *engines[] = {&engine};
  const struct reservation most = {IMAGES, 1 << 20, IMAGES * PIXELS};
  admission_init(&service.admission, &most);
  service.limits.images = IMAGES;
  service.limits.pixels = PIXELS;
  engine.references = 2; /* one is never given back: it is no engine that was opened */
  if (models_new(engines, 1, &models, &error) != VQCT_OK)
    return 0;
  service.models = models;
  bool encodes = data[0] & 1;
  struct request *request =
      request_new(&service, &exchange, encodes ? REQUEST_ENCODE : REQUEST_DECODE, &engine);
  request->input = encodes ? forms[data[0] >> 1 & 1] : forms[data[0] >> 1 & 3];
  request->grid_height = request->grid_width = 1 + (data[0] >> 3 & 3);
  request->infer.json_size = data[0] & 32 ? data[1] | (uint64_t)data[2] << 8 : UINT64_MAX;
  text_add(&request->body, data + 3, size - 3);
  prepare(request);
  request_free(request);
  reply_free(&exchange.reply);
  models_release(models);
  return 0;
}
