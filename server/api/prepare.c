/* Pictures out of a body: one file, a multipart form, or JSON with base64; decoded, resized, and
 * in the channels of the model. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base64.h"
#include "body.h"
#include "fit.h"
#include "multipart.h"
#include "work.h"

/* ---- one picture ----------------------------------------------------------------------------- */

static void fail_image(struct work_item *item, const struct vqct_error *error) {
  if (error->status == VQCT_LIMIT)
    item_fail(item, PROBLEM_IMAGE_TOO_LARGE, "%s", error->message);
  else if (error->status == VQCT_MEMORY)
    item_fail(item, PROBLEM_OUT_OF_MEMORY, "no memory to decode it");
  else
    item_fail(item, PROBLEM_BAD_IMAGE, "%s", error->message);
}

/* What the request asks for and the network can take. */
static struct fit wanted(const struct work *work) {
  const struct vqct_model_info *info = work->engine->info;
  return (struct fit){work->resize, work->width, work->height, info->downsampling, info->channels};
}

static void decode_picture(struct work *work, struct work_item *item) {
  const struct fit fit = wanted(work);
  struct vqct_error error = {VQCT_OK, ""};
  if (vqct_image_decode(item->file, item->file_size, &work->service->limits.image, &item->image,
                        &error) ||
      fit_picture(&fit, &item->image, &error)) {
    fail_image(item, &error);
    return;
  }
  if (!item_set_shape(work, item, item->image.height, item->image.width) ||
      work->kind != WORK_RECONSTRUCT)
    return;
  item->result = item->image;
  item->result.pixels = malloc((size_t)job_pixels(&item->job) * item->image.channels);
  if (!item->result.pixels)
    item_fail(item, PROBLEM_OUT_OF_MEMORY, "no memory for the reconstruction");
}

void prepare_picture(struct work *work, struct work_item *item) {
  const struct fit fit = wanted(work);
  struct vqct_image_header header;
  struct vqct_error error = {VQCT_OK, ""};
  if (vqct_image_probe(item->file, item->file_size, &work->service->limits.image, &header,
                       &error)) {
    fail_image(item, &error);
    return;
  }
  uint64_t before = (uint64_t)header.width * header.height;
  uint64_t after = fit_size(&fit, header.width, header.height);
  if (after > work->service->limits.pixels) {
    item_fail(item, PROBLEM_IMAGE_TOO_LARGE, "%llu pixels after resizing; %llu are allowed",
              (unsigned long long)after, (unsigned long long)work->service->limits.pixels);
    return;
  }
  uint64_t most = before > after ? before : after;
  if (!work_reserve_pixels(work, most))
    return;
  decode_picture(work, item);
  uint64_t kept = item->failed ? 0 : job_pixels(&item->job);
  if (item->failed)
    vqct_image_free(&item->image);
  struct reservation less = {.pixels = most - kept};
  admission_return(&work->service->admission, &work->reserved, less);
}

/* ---- the body -------------------------------------------------------------------------------- */

static void read_multipart(struct work *work) {
  struct multipart multipart;
  struct multipart_part part;
  enum multipart_step step = MULTIPART_BROKEN;
  size_t count = 0;
  if (multipart_begin(&multipart, work->boundary, work->body.data, work->body.size))
    while ((step = multipart_next(&multipart, &part)) == MULTIPART_PART)
      count++;
  if (step != MULTIPART_END) {
    work_fail(work, PROBLEM_BAD_BODY, "the multipart body breaks off after %zu whole parts", count);
    return;
  }
  if (!work_make_items(work, count))
    return;
  multipart_begin(&multipart, work->boundary, work->body.data, work->body.size);
  for (size_t i = 0; multipart_next(&multipart, &part) == MULTIPART_PART; i++) {
    struct work_item *item = &work->items[i];
    memcpy(item->name, part.filename, sizeof item->name);
    item->file = part.data;
    item->file_size = part.size;
  }
}

static void read_base64(struct work_item *item, const json_t *value) {
  const char *text = json_string_value(value);
  if (!text) {
    item_fail(item, PROBLEM_BAD_BODY, "it is not a string of base64");
    return;
  }
  size_t size = json_string_length(value);
  item->owned = malloc(base64_decoded_size(size) + 1);
  if (!item->owned)
    item_fail(item, PROBLEM_OUT_OF_MEMORY, "no memory for the picture");
  else if (!base64_decode(text, size, item->owned, &item->file_size))
    item_fail(item, PROBLEM_BAD_BODY, "it is not base64");
  item->file = item->owned;
}

static void read_json(struct work *work) {
  json_t *root = body_json(work, work->service->limits.images + 16);
  if (!root)
    return;
  const json_t *images = json_object_get(root, "images");
  if (!json_is_array(images))
    work_fail(work, PROBLEM_BAD_BODY, "the JSON has no array \"images\"");
  else if (json_object_size(root) > 1)
    work_fail(work, PROBLEM_BAD_BODY, "the JSON may hold \"images\" only");
  else if (work_make_items(work, json_array_size(images)))
    for (size_t i = 0; i < work->count; i++)
      read_base64(&work->items[i], json_array_get(images, i));
  json_decref(root);
}

void read_pictures(struct work *work) {
  if (work->input == FORM_MULTIPART) {
    read_multipart(work);
  } else if (work->input == FORM_JSON) {
    read_json(work);
  } else if (work_make_items(work, 1)) {
    work->items[0].file = work->body.data;
    work->items[0].file_size = work->body.size;
  }
}
