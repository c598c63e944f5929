/* JSON answers: each picture writes its own members, so that several threads may do so at once, and
 * the whole is put together from them. */
#include <math.h>
#include <stdlib.h>

#include "base64.h"
#include "render.h"

void render_model_members(struct text *text, const struct vqct_model_info *info) {
  text_print(text, "\"model\":{\"name\":");
  text_add_json(text, info->name);
  text_print(text, ",\"checksum\":\"%s\",\"downsampling\":%u},\"planes\":[", info->checksum,
             info->downsampling);
  for (uint32_t p = 0; p < info->planes; p++)
    text_print(text, "%s{\"name\":\"%s\",\"first\":%u,\"count\":%u}", p ? "," : "",
               info->plane[p].name, info->plane[p].first, info->plane[p].count);
  text_add(text, "]", 1);
}

static void add_name(struct text *text, const struct picture *picture) {
  if (!*picture->name)
    return;
  text_print(text, "\"name\":");
  text_add_json(text, picture->name);
  text_add(text, ",", 1);
}

static void add_word(struct text *text, const struct request *request, uint32_t token) {
  struct vqct_code code;
  text_add_json(text, vqct_model_code(request->engine->model, token, &code) ? code.word : "");
}

/* An array a plane, of tokens or of their words. */
static void add_planes(struct text *text, const struct request *request,
                       const struct picture *picture, bool words) {
  size_t cells = (size_t)picture->job.grid_height * picture->job.grid_width;
  for (size_t p = 0; p < request->engine->info->planes; p++) {
    text_print(text, p ? ",[" : "[");
    for (size_t i = 0; i < cells; i++) {
      uint32_t token = picture->tokens[p * cells + i];
      if (i)
        text_add(text, ",", 1);
      if (words)
        add_word(text, request, token);
      else
        text_print(text, "%u", token);
    }
    text_add(text, "]", 1);
  }
}

static void add_base64(struct text *text, const struct request *request,
                       const struct picture *picture) {
  struct text packed = {0};
  render_packed(&packed, request, picture);
  text_print(text, "\"dtype\":\"%s\",\"tokens\":\"",
             tokens_type_name(tokens_type(request->engine->info)));
  base64_add(text, packed.data, packed.size);
  text_add(text, "\"", 1);
  text->failed = text->failed || packed.failed;
  text_free(&packed);
}

static void add_numbers(struct text *text, const struct request *request,
                        const struct picture *picture) {
  text_print(text, "\"tokens\":[");
  add_planes(text, request, picture, false);
  text_add(text, "]", 1);
}

static void add_tokens_members(struct text *text, const struct request *request,
                               const struct picture *picture) {
  add_name(text, picture);
  text_print(text, "\"width\":%u,\"height\":%u,\"grid\":[%u,%u],", picture->job.width,
             picture->job.height, picture->job.grid_height, picture->job.grid_width);
  (request->base64 ? add_base64 : add_numbers)(text, request, picture);
  if (!request->words)
    return;
  text_print(text, ",\"words\":[");
  add_planes(text, request, picture, true);
  text_add(text, "]", 1);
}

/* The members of a picture that failed. */
static void add_failure_members(struct text *text, const struct picture *picture) {
  add_name(text, picture);
  text_print(text, "\"error\":");
  problem_write(text, picture->problem, picture->detail);
}

static void add_picture(struct text *text, const char *member, const struct vqct_image *image,
                        const struct request *request) {
  struct vqct_bytes file;
  struct vqct_error error;
  if (picture_file(request, image, &file, &error)) {
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

/* The members of a picture of decode, or of reconstruct with what went in and all that came of it.
 */
static void add_picture_members(struct text *text, const struct request *request,
                                struct picture *picture) {
  if (request->kind == REQUEST_DECODE) {
    text_print(text, "\"width\":%u,\"height\":%u,\"media_type\":\"image/png\"", picture->job.width,
               picture->job.height);
    add_picture(text, "image", &picture->image, request);
    return;
  }
  picture_measure(picture);
  add_tokens_members(text, request, picture);
  text_print(text, ",\"media_type\":\"image/png\"");
  add_picture(text, "original", &picture->image, request);
  add_picture(text, "image", &picture->result, request);
  add_measure(text, "psnr", picture->psnr);
  add_measure(text, "ssim", picture->ssim);
}

void render_members(struct request *request, struct picture *picture) {
  if (picture->failed)
    add_failure_members(&picture->members, picture);
  else if (request->kind == REQUEST_ENCODE)
    add_tokens_members(&picture->members, request, picture);
  else
    add_picture_members(&picture->members, request, picture);
}

void render_json(struct request *request) {
  struct text *text = &request->reply.body;
  request->reply.type = "application/json";
  text_add(text, "{", 1);
  render_model_members(text, request->engine->info);
  size_t failed = 0;
  text_print(text, ",\"images\":[");
  for (size_t i = 0; i < request->count; i++) {
    struct text *members = &request->pictures[i].members;
    failed += request->pictures[i].failed;
    text_print(text, i ? ",{" : "{");
    text_add(text, members->data, members->size);
    text_add(text, "}", 1);
    text->failed = text->failed || members->failed;
    text_free(members);
  }
  text_print(text, "],\"failed\":%zu}\n", failed);
}
