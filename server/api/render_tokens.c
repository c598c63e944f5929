/* The answers of encode: JSON, npy, or packed numbers. */
#include <string.h>

#include "npy.h"
#include "render.h"

bool render_possible(struct request *request) {
  if (request->output != FORM_NPY && request->output != FORM_PACKED &&
      request->output != FORM_INFER)
    return true;
  const struct job *first = &request->pictures[0].job;
  for (size_t i = 0; i < request->count; i++) {
    const struct picture *picture = &request->pictures[i];
    if (picture->failed) {
      request_fail(request, picture->problem, "picture %zu: %s", i, picture->detail);
      return false;
    }
    if (picture->job.height != first->height || picture->job.width != first->width) {
      request_fail(request, PROBLEM_NOT_ACCEPTABLE,
                   "picture %zu has another shape than picture 0; ask for %s one size", i,
                   request->output == FORM_INFER ? "pictures of" : "application/json or");
      return false;
    }
  }
  return true;
}

static void render_array(struct request *request) {
  const struct vqct_model_info *info = request->engine->info;
  const struct job *first = &request->pictures[0].job;
  struct text *text = &request->reply.body;
  enum tensor_type type = tokens_type(info);
  size_t shape[] = {request->count, info->planes, first->grid_height, first->grid_width};
  size_t skipped = request->many ? 0 : 1;
  int dims = request->many ? 4 : 3;
  if (!render_possible(request))
    return;
  if (request->output == FORM_NPY) {
    char header[NPY_HEADER_SIZE];
    npy_header(type, dims, shape + skipped, header);
    text_add(text, header, sizeof header);
  }
  request->reply.type =
      request->output == FORM_NPY ? "application/x-npy" : "application/octet-stream";
  for (size_t i = 0; i < request->count; i++)
    render_packed(text, request, &request->pictures[i]);
  reply_header(&request->reply, "X-Vqct-Shape", "%zu,%zu,%zu,%zu", shape[0], shape[1], shape[2],
               shape[3]);
}

void render_tokens(struct request *request) {
  if (!request->many && request->pictures[0].failed) {
    request_fail(request, request->pictures[0].problem, "%s", request->pictures[0].detail);
    return;
  }
  request->reply.status = 200;
  render_headers(request);
  if (request->output == FORM_JSON)
    render_json(request);
  else
    render_array(request);
}
