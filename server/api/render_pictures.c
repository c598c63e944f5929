/* The answers of decode and reconstruct: a picture, or JSON with base64 for many. */
#include <math.h>
#include <stdlib.h>

#include "base64.h"
#include "render.h"

/* The picture that the decoder gave. */
static const struct vqct_image *item_output(const struct work *work, const struct work_item *item) {
  return work->kind == WORK_RECONSTRUCT ? &item->result : &item->image;
}

static enum vqct_status encode_file(const struct work *work, const struct vqct_image *image,
                                    struct vqct_bytes *file, struct vqct_error *error) {
  if (work->output == FORM_JPEG)
    return vqct_image_encode_jpeg(image, work->quality, file, error);
  return vqct_image_encode_png(image, file, error);
}

static void measure(struct work_item *item) {
  struct vqct_error error;
  if (vqct_image_psnr(&item->image, &item->result, &item->psnr, &error))
    item->psnr = NAN;
  if (vqct_image_ssim(&item->image, &item->result, &item->ssim, &error))
    item->ssim = NAN;
}

static void render_file(struct work *work, struct work_item *item) {
  struct vqct_bytes file;
  struct vqct_error error;
  if (encode_file(work, item_output(work, item), &file, &error)) {
    work_fail(work, PROBLEM_OUT_OF_MEMORY, "no memory for the picture's file");
    return;
  }
  text_add(&work->reply.body, file.data, file.size);
  free(file.data);
  work->reply.type = work->output == FORM_JPEG ? "image/jpeg" : "image/png";
  reply_header(&work->reply, "X-Vqct-Shape", "1,%u,%u,%u", work->engine->info->planes,
               item->job.grid_height, item->job.grid_width);
  if (work->kind != WORK_RECONSTRUCT)
    return;
  measure(item);
  reply_header(&work->reply, "X-Vqct-Psnr", "%.4f", item->psnr);
  if (!isnan(item->ssim))
    reply_header(&work->reply, "X-Vqct-Ssim", "%.6f", item->ssim);
}

static void add_picture(struct text *text, const char *member, const struct vqct_image *image,
                        const struct work *work) {
  struct vqct_bytes file;
  struct vqct_error error;
  if (encode_file(work, image, &file, &error)) {
    text->failed = true;
    return;
  }
  text_print(text, ",\"%s\":\"", member);
  base64_add(text, file.data, file.size);
  text_add(text, "\"", 1);
  free(file.data);
}

static void add_measure(struct text *text, const char *member, double value) {
  if (isfinite(value))
    text_print(text, ",\"%s\":%.6f", member, value);
  else
    text_print(text, ",\"%s\":null", member);
}

/* For reconstruct with what went in and all that came of it. */
void render_picture_members(struct text *text, const struct work *work, struct work_item *item) {
  if (work->kind == WORK_DECODE) {
    text_print(text, "\"width\":%u,\"height\":%u,\"media_type\":\"image/png\"", item->job.width,
               item->job.height);
    add_picture(text, "image", &item->image, work);
    return;
  }
  measure(item);
  render_tokens_members(text, work, item);
  text_print(text, ",\"media_type\":\"image/png\"");
  add_picture(text, "original", &item->image, work);
  add_picture(text, "image", &item->result, work);
  add_measure(text, "psnr", item->psnr);
  add_measure(text, "ssim", item->ssim);
}

void render_pictures(struct work *work) {
  struct work_item *only = &work->items[0];
  if (work->count > 1 && work->output != FORM_JSON) {
    work_fail(work, PROBLEM_NOT_ACCEPTABLE, "only application/json holds %zu pictures",
              work->count);
    return;
  }
  if (only->failed && (!work->many || work->output != FORM_JSON)) {
    work_fail(work, only->problem, "%s", only->detail);
    return;
  }
  work->reply.status = 200;
  render_headers(work);
  if (work->output == FORM_JSON)
    render_json(work);
  else
    render_file(work, only);
}
