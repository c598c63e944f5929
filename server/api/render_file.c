/* What answers are made of: a picture as a file, its tokens as packed numbers, how well it was
 * reconstructed, and the headers. */
#include <math.h>

#include "recall.h"
#include "render.h"

/* The picture that the decoder gave. */
const struct vqct_image *picture_output(const struct request *request,
                                        const struct picture *picture) {
  return request->kind == REQUEST_RECONSTRUCT ? &picture->result : &picture->image;
}

enum vqct_status picture_file(const struct request *request, const struct vqct_image *image,
                              struct vqct_bytes *file, struct vqct_error *error) {
  if (request->output == FORM_JPEG)
    return vqct_image_encode_jpeg(image, request->quality, file, error);
  if (request->output == FORM_WEBP && request->lossless)
    return vqct_image_encode_webp_lossless(image, file, error);
  if (request->output == FORM_WEBP)
    return vqct_image_encode_webp(image, request->quality, file, error);
  return vqct_image_encode_png(image, file, error);
}

void render_packed(struct text *text, const struct request *request,
                   const struct picture *picture) {
  size_t count = picture_tokens(request, picture);
  size_t size = tensor_type_size(tokens_type(request->engine->info));
  if (!text_reserve(text, count * size))
    return;
  for (size_t i = 0; i < count; i++)
    for (size_t byte = 0; byte < size; byte++)
      text->data[text->size++] = (char)(picture->tokens[i] >> 8 * byte);
}

void picture_measure(struct picture *picture) {
  struct vqct_error error;
  if (vqct_image_psnr(&picture->image, &picture->result, &picture->psnr, &error))
    picture->psnr = NAN;
  if (vqct_image_ssim(&picture->image, &picture->result, &picture->ssim, &error))
    picture->ssim = NAN;
}

void render_headers(struct request *request) {
  const struct vqct_model_info *info = request->engine->info;
  reply_header(&request->reply, "X-Vqct-Model", "%.16s", info->checksum);
  reply_header(&request->reply, "Cache-Control", "no-store");
  recall_tell(request);
}
