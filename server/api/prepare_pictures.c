/* Pictures out of a body: one file, a multipart form, or JSON with base64; decoded, resized, and
 * in the channels of the model. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "base64.h"
#include "body.h"
#include "choice.h"
#include "fit.h"
#include "multipart.h"
#include "prepare.h"
#include "recall.h"

/* ---- one picture ----------------------------------------------------------------------------- */

static void fail_image(struct picture *picture, const struct vqct_error *error) {
  if (error->status == VQCT_LIMIT)
    picture_fail(picture, PROBLEM_IMAGE_TOO_LARGE, "%s", error->message);
  else if (error->status == VQCT_MEMORY)
    picture_fail(picture, PROBLEM_OUT_OF_MEMORY, "no memory to decode it");
  else
    picture_fail(picture, PROBLEM_BAD_IMAGE, "%s", error->message);
}

/* What the request asks for and the network can take. */
static struct fit wanted(const struct request *request) {
  const struct vqct_model_info *info = request->engine->info;
  return (struct fit){.resize = request->resize,
                      .width = request->width,
                      .height = request->height,
                      .factor = info->downsampling,
                      .channels = info->channels,
                      .crop = request->crop,
                      .focus = request->focus};
}

/* Pixels that decoding holds at once. */
static uint64_t decoded_pixels(const struct fit *fit, const struct vqct_image_header *header) {
  uint64_t reduction = fit_reduction(fit, header);
  return ((header->width + reduction - 1) / reduction) *
         ((header->height + reduction - 1) / reduction);
}

static void decode_picture(struct request *request, struct picture *picture, const struct fit *fit,
                           const struct image_file *file) {
  struct vqct_error error = {VQCT_OK, ""};
  if (fit_decode(fit, file, &picture->image, &error)) {
    fail_image(picture, &error);
    return;
  }
  if (!picture_set_shape(request, picture, picture->image.height, picture->image.width) ||
      request->kind != REQUEST_RECONSTRUCT)
    return;
  picture->result = picture->image;
  picture->result.pixels = malloc((size_t)job_pixels(&picture->job) * picture->image.channels);
  if (!picture->result.pixels)
    picture_fail(picture, PROBLEM_OUT_OF_MEMORY, "no memory for the reconstruction");
}

void prepare_picture(struct request *request, struct picture *picture) {
  const struct fit fit = wanted(request);
  struct image_file file;
  struct vqct_error error = {VQCT_OK, ""};
  if (recall_find(request, picture) || picture->failed)
    return;
  if (image_file_read(picture->file, picture->file_size, &request->service->limits.image, &file,
                      &error)) {
    fail_image(picture, &error);
    return;
  }
  if (!fit_box_inside(&fit.crop, file.header.width, file.header.height)) {
    picture_fail(picture, PROBLEM_BAD_PARAMETER,
                 "crop is '%u,%u,%u,%u', which is not inside the picture of %u x %u pixels",
                 fit.crop.left, fit.crop.top, fit.crop.width, fit.crop.height, file.header.width,
                 file.header.height);
    return;
  }
  uint64_t before = decoded_pixels(&fit, &file.header);
  uint64_t after = fit_size(&fit, file.header.width, file.header.height);
  if (after > request->service->limits.pixels) {
    picture_fail(picture, PROBLEM_IMAGE_TOO_LARGE, "%llu pixels after resizing; %llu are allowed",
                 (unsigned long long)after, (unsigned long long)request->service->limits.pixels);
    return;
  }
  uint64_t most = before > after ? before : after;
  if (!request_reserve_pixels(request, most))
    return;
  decode_picture(request, picture, &fit, &file);
  uint64_t kept = picture->failed ? 0 : job_pixels(&picture->job);
  if (picture->failed)
    vqct_image_free(&picture->image);
  struct reservation less = {.pixels = most - kept};
  admission_return(&request->service->admission, &request->reserved, less);
}

/* ---- the body -------------------------------------------------------------------------------- */

/* Fields that a form has beside its files and "model" are passed over. */
static bool is_picture(const struct multipart_part *part) {
  bool text = !*part->type || !strncasecmp(part->type, "text/", 5);
  return *part->filename || !text;
}

/* Keeps the model that a form's field names; false where it names two, or what can be no name. */
static bool note_model(struct request *request, const struct multipart_part *part,
                       char name[ENGINE_NAME_MAX + 1]) {
  if (*name || !part->size || part->size > ENGINE_NAME_MAX || memchr(part->data, 0, part->size)) {
    request_fail(request, PROBLEM_BAD_BODY,
                 *name ? "the form names two models" : "the form's field \"model\" is no name");
    return false;
  }
  memcpy(name, part->data, part->size);
  name[part->size] = '\0';
  return true;
}

static void read_multipart(struct request *request) {
  struct multipart multipart;
  struct multipart_part part;
  enum multipart_step step = MULTIPART_BROKEN;
  char model[ENGINE_NAME_MAX + 1] = "";
  size_t count = 0;
  if (multipart_begin(&multipart, request->boundary, request->body.data, request->body.size))
    while ((step = multipart_next(&multipart, &part)) == MULTIPART_PART) {
      count += is_picture(&part);
      if (!is_picture(&part) && !strcmp(part.name, "model") && !note_model(request, &part, model))
        return;
    }
  if (step != MULTIPART_END) {
    request_fail(request, PROBLEM_BAD_BODY, "the multipart body breaks off after %zu whole parts",
                 count);
    return;
  }
  if (!choice_of_body(request, *model ? model : request->engine->name) ||
      !request_make_pictures(request, count))
    return;
  multipart_begin(&multipart, request->boundary, request->body.data, request->body.size);
  for (size_t i = 0; multipart_next(&multipart, &part) == MULTIPART_PART;) {
    if (!is_picture(&part))
      continue;
    struct picture *picture = &request->pictures[i++];
    memcpy(picture->name, part.filename, sizeof picture->name);
    picture->file = part.data;
    picture->file_size = part.size;
  }
}

void picture_from_base64(struct picture *picture, const json_t *value) {
  const char *text = json_string_value(value);
  if (!text) {
    picture_fail(picture, PROBLEM_BAD_BODY, "it is not a string of base64");
    return;
  }
  size_t size = json_string_length(value);
  if (!strncasecmp(text, "data:", 5)) { /* RFC 2397: data:[type][;name=value];base64,DATA */
    const char *comma = memchr(text, ',', size);
    size_t head = comma ? (size_t)(comma - text) + 1 : size;
    if (head < 8 || strncasecmp(text + head - 8, ";base64,", 8)) {
      picture_fail(picture, PROBLEM_BAD_BODY, "it is a data: URL without base64");
      return;
    }
    text += head;
    size -= head;
  }
  picture->owned = malloc(base64_decoded_size(size) + 1);
  if (!picture->owned)
    picture_fail(picture, PROBLEM_OUT_OF_MEMORY, "no memory for the picture");
  else if (!base64_decode(text, size, picture->owned, &picture->file_size))
    picture_fail(picture, PROBLEM_BAD_BODY, "it is not base64");
  picture->file = picture->owned;
}

static void read_json(struct request *request) {
  json_t *root = body_json(request, request->service->limits.images + 16);
  if (!root)
    return;
  const json_t *images = json_object_get(root, "images"), *model = json_object_get(root, "model");
  if (!json_is_array(images))
    request_fail(request, PROBLEM_BAD_BODY, "the JSON has no array \"images\"");
  else if (json_object_size(root) > 1 + (model != NULL))
    request_fail(request, PROBLEM_BAD_BODY, "the JSON may hold \"images\" and \"model\" only");
  else if (model && !json_is_string(model))
    request_fail(request, PROBLEM_BAD_BODY, "\"model\" is not a name");
  else if (choice_of_body(request, model ? json_string_value(model) : request->engine->name) &&
           request_make_pictures(request, json_array_size(images)))
    for (size_t i = 0; i < request->count; i++)
      picture_from_base64(&request->pictures[i], json_array_get(images, i));
  json_decref(root);
}

void read_pictures(struct request *request) {
  if (request->input == FORM_MULTIPART) {
    read_multipart(request);
  } else if (request->input == FORM_JSON) {
    read_json(request);
  } else if (request_make_pictures(request, 1)) {
    request->pictures[0].file = request->body.data;
    request->pictures[0].file_size = request->body.size;
  }
}
