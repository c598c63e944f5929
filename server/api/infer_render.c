/* The answer to an inference request: its tensors as JSON, or behind it. */
#include <stdlib.h>

#include "base64.h"
#include "infer.h"
#include "render.h"

/* ---- one tensor ------------------------------------------------------------------------------ */

static void add_packed(struct text *text, uint64_t number, size_t size) {
  unsigned char bytes[8];
  for (size_t i = 0; i < size; i++)
    bytes[i] = (unsigned char)(number >> 8 * i);
  text_add(text, bytes, size);
}

static void add_tokens(struct text *text, const struct request *request,
                       const struct infer_output *output) {
  const char *comma = "";
  for (size_t i = 0; i < request->count; i++) {
    const struct picture *picture = &request->pictures[i];
    for (size_t j = 0; j < picture_tokens(request, picture); j++) {
      if (output->binary)
        add_packed(text, picture->tokens[j], tensor_type_size(output->type));
      else
        text_print(text, "%s%u", comma, picture->tokens[j]);
      comma = ",";
    }
  }
}

static void add_pixels(struct text *text, const struct request *request, bool binary) {
  const char *comma = "";
  for (size_t i = 0; i < request->count; i++) {
    const struct vqct_image *image = &request->pictures[i].image;
    size_t size = (size_t)image->width * image->height * image->channels;
    if (binary) {
      text_add(text, image->pixels, size);
      continue;
    }
    for (size_t j = 0; j < size; j++) {
      text_print(text, "%s%u", comma, image->pixels[j]);
      comma = ",";
    }
  }
}

static void add_images(struct text *text, const struct request *request, bool binary) {
  for (size_t i = 0; i < request->count; i++) {
    struct vqct_bytes file;
    struct vqct_error error;
    if (picture_file(request, &request->pictures[i].image, &file, &error)) {
      text->failed = true;
      return;
    }
    if (binary) {
      add_packed(text, file.size, 4);
      text_add(text, file.data, file.size);
    } else {
      text_add(text, i ? ",\"" : "\"", i ? 2 : 1);
      base64_add(text, file.data, file.size);
      text_add(text, "\"", 1);
    }
    free(file.data);
  }
}

static void add_data(struct text *text, const struct request *request,
                     const struct infer_output *output) {
  switch (output->kind) {
  case INFER_TOKENS:
    add_tokens(text, request, output);
    break;
  case INFER_PIXELS:
    add_pixels(text, request, output->binary);
    break;
  case INFER_IMAGE:
    add_images(text, request, output->binary);
    break;
  }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void add_shape(struct text *text, const struct request *request,
                      const struct infer_output *output) {
  const struct job *first = &request->pictures[0].job;
  const struct vqct_model_info *info = request->engine->info;
  text_print(text, "{\"name\":\"%s\",", infer_output_name(output->kind));
  switch (output->kind) {
  case INFER_TOKENS:
    text_print(text, "\"datatype\":\"%s\",\"shape\":[%zu,%u,%u,%u]", infer_type_name(output->type),
               request->count, info->planes, first->grid_height, first->grid_width);
    break;
  case INFER_PIXELS:
    text_print(text, "\"datatype\":\"UINT8\",\"shape\":[%zu,%u,%u,%u]", request->count,
               first->height, first->width, info->channels);
    break;
  case INFER_IMAGE:
    text_print(text, "\"datatype\":\"BYTES\",\"shape\":[%zu]", request->count);
    break;
  }
}

/* A tensor's part of the JSON; what is to follow that goes into `packed`. */
static void add_output(struct request *request, const struct infer_output *output,
                       struct text *packed) {
  struct text *text = &request->reply.body;
  add_shape(text, request, output);
  if (output->binary) {
    size_t before = packed->size;
    add_data(packed, request, output);
    text_print(text, ",\"parameters\":{\"binary_data_size\":%zu}}", packed->size - before);
  } else {
    text_print(text, ",\"data\":[");
    add_data(text, request, output);
    text_print(text, "]}");
  }
}

void infer_render(struct request *request) {
  const struct infer *infer = &request->infer;
  struct text *text = &request->reply.body, packed = {0};
  if (!render_possible(request))
    return;
  request->reply.status = 200;
  render_headers(request);
  text_print(text, "{\"model_name\":\"%s.%s\",\"model_version\":\"1\",", request->engine->name,
             request->kind == REQUEST_ENCODE ? "encode" : "decode");
  if (infer->id.size)
    text_print(text, "\"id\":%s,", infer->id.data);
  text_print(text, "\"outputs\":[");
  for (size_t i = 0; i < infer->output_count; i++) {
    text_add(text, ",", i > 0);
    add_output(request, &infer->outputs[i], &packed);
  }
  text_print(text, "]}");
  request->reply.type = packed.size ? "application/octet-stream" : "application/json";
  if (packed.size)
    reply_header(&request->reply, "Inference-Header-Content-Length", "%zu", text->size);
  text_add(text, packed.data, packed.size);
  text->failed = text->failed || packed.failed;
  text_free(&packed);
}
