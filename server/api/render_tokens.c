/* The answers of encode: JSON, npy, or packed numbers. */
#include <string.h>

#include "npy.h"
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

static void add_name(struct text *text, const struct work_item *item) {
  if (!*item->name)
    return;
  text_print(text, "\"name\":");
  text_add_json(text, item->name);
  text_add(text, ",", 1);
}

static void add_word(struct text *text, const struct work *work, uint32_t token) {
  struct vqct_code code;
  text_add_json(text, vqct_model_code(work->engine->model, token, &code) ? code.word : "");
}

/* An array a plane, of tokens or of their words. */
static void add_planes(struct text *text, const struct work *work, const struct work_item *item,
                       bool words) {
  size_t cells = (size_t)item->job.grid_height * item->job.grid_width;
  for (size_t p = 0; p < work->engine->info->planes; p++) {
    text_print(text, p ? ",[" : "[");
    for (size_t i = 0; i < cells; i++) {
      uint32_t token = item->tokens[p * cells + i];
      if (i)
        text_add(text, ",", 1);
      if (words)
        add_word(text, work, token);
      else
        text_print(text, "%u", token);
    }
    text_add(text, "]", 1);
  }
}

void render_tokens_members(struct text *text, const struct work *work,
                           const struct work_item *item) {
  add_name(text, item);
  text_print(text, "\"width\":%u,\"height\":%u,\"grid\":[%u,%u],\"tokens\":[", item->job.width,
             item->job.height, item->job.grid_height, item->job.grid_width);
  add_planes(text, work, item, false);
  text_add(text, "]", 1);
  if (!work->words)
    return;
  text_print(text, ",\"words\":[");
  add_planes(text, work, item, true);
  text_add(text, "]", 1);
}

/* The members of a picture that failed. */
static void render_failure_members(struct text *text, const struct work_item *item) {
  add_name(text, item);
  text_print(text, "\"error\":");
  problem_write(text, item->problem, item->detail);
}

void render_headers(struct work *work) {
  const struct vqct_model_info *info = work->engine->info;
  reply_header(&work->reply, "X-Vqct-Model", "%.16s", info->checksum);
  reply_header(&work->reply, "Cache-Control", "no-store");
}

void render_item(struct work *work, struct work_item *item) {
  if (item->failed)
    render_failure_members(&item->members, item);
  else if (work->kind == WORK_ENCODE)
    render_tokens_members(&item->members, work, item);
  else
    render_picture_members(&item->members, work, item);
}

void render_json(struct work *work) {
  struct text *text = &work->reply.body;
  work->reply.type = "application/json";
  text_add(text, "{", 1);
  render_model_members(text, work->engine->info);
  text_print(text, ",\"images\":[");
  for (size_t i = 0; i < work->count; i++) {
    struct text *members = &work->items[i].members;
    text_print(text, i ? ",{" : "{");
    text_add(text, members->data, members->size);
    text_add(text, "}", 1);
    text->failed = text->failed || members->failed;
    text_free(members);
  }
  text_print(text, "]}\n");
}

/* One array holds all pictures or none. */
static bool check_uniform(struct work *work) {
  const struct job *first = &work->items[0].job;
  for (size_t i = 0; i < work->count; i++) {
    const struct work_item *item = &work->items[i];
    if (item->failed) {
      work_fail(work, item->problem, "picture %zu: %s", i, item->detail);
      return false;
    }
    if (item->job.height != first->height || item->job.width != first->width) {
      work_fail(work, PROBLEM_NOT_ACCEPTABLE,
                "picture %zu has another shape than picture 0; ask for application/json or one "
                "size",
                i);
      return false;
    }
  }
  return true;
}

static void add_number(struct text *text, uint32_t number, size_t size) {
  unsigned char bytes[4];
  for (size_t i = 0; i < size; i++)
    bytes[i] = (unsigned char)(number >> 8 * i);
  text_add(text, bytes, size);
}

static void render_array(struct work *work) {
  const struct vqct_model_info *info = work->engine->info;
  const struct job *first = &work->items[0].job;
  struct text *text = &work->reply.body;
  enum tensor_type type = info->codes <= 65536 ? TENSOR_U16 : TENSOR_U32;
  size_t shape[] = {work->count, info->planes, first->grid_height, first->grid_width};
  size_t skipped = work->many ? 0 : 1;
  int dims = work->many ? 4 : 3;
  if (!check_uniform(work))
    return;
  if (work->output == FORM_NPY) {
    char header[NPY_HEADER_SIZE];
    npy_header(type, dims, shape + skipped, header);
    text_add(text, header, sizeof header);
  }
  work->reply.type = work->output == FORM_NPY ? "application/x-npy" : "application/octet-stream";
  for (size_t i = 0; i < work->count; i++)
    for (size_t j = 0; j < item_tokens(work, &work->items[i]); j++)
      add_number(text, work->items[i].tokens[j], tensor_type_size(type));
  reply_header(&work->reply, "X-Vqct-Shape", "%zu,%zu,%zu,%zu", shape[0], shape[1], shape[2],
               shape[3]);
}

void render_tokens(struct work *work) {
  if (!work->many && work->items[0].failed) {
    work_fail(work, work->items[0].problem, "%s", work->items[0].detail);
    return;
  }
  work->reply.status = 200;
  render_headers(work);
  if (work->output == FORM_JSON)
    render_json(work);
  else
    render_array(work);
}
