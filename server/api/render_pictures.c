/* The answers of decode and reconstruct: a picture, or JSON with base64 for many. */
#include <math.h>
#include <stdlib.h>

#include "base64.h"
#include "render.h"

static void render_file(struct request *request, struct picture *picture) {
  struct vqct_bytes file;
  struct vqct_error error;
  enum vqct_status status = picture_file(request, picture_output(request, picture), &file, &error);
  if (status == VQCT_INVALID) { /* WebP has no long sides */
    request_fail(request, PROBLEM_NOT_ACCEPTABLE, "%s", error.message);
    return;
  }
  if (status != VQCT_OK) {
    request_fail(request, PROBLEM_OUT_OF_MEMORY, "no memory for the picture's file");
    return;
  }
  text_add(&request->reply.body, file.data, file.size);
  free(file.data);
  request->reply.type = request->output == FORM_JPEG   ? "image/jpeg"
                        : request->output == FORM_WEBP ? "image/webp"
                                                       : "image/png";
  reply_header(&request->reply, "X-Vqct-Shape", "1,%u,%u,%u", request->engine->info->planes,
               picture->job.grid_height, picture->job.grid_width);
  if (request->kind != REQUEST_RECONSTRUCT)
    return;
  picture_measure(picture);
  reply_header(&request->reply, "X-Vqct-Psnr", "%.4f", picture->psnr);
  if (!isnan(picture->ssim))
    reply_header(&request->reply, "X-Vqct-Ssim", "%.6f", picture->ssim);
}

void render_pictures(struct request *request) {
  struct picture *only = &request->pictures[0];
  if (only->failed && (!request->many || request->output != FORM_JSON)) {
    request_fail(request, only->problem, "%s", only->detail);
    return;
  }
  request->reply.status = 200;
  render_headers(request);
  if (request->output == FORM_JSON)
    render_json(request);
  else
    render_file(request, only);
}
