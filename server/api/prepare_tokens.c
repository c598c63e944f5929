/* Tokens out of a body: JSON, npy, or packed numbers. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "npy.h"
#include "work.h"

/* What the tokens of one picture take besides themselves in a JSON body: names, brackets, words. */
#define JSON_VALUES_EXTRA 64
#define JSON_VALUES_MAX   ((uint64_t)2 << 20) /* about 80 MB once parsed */

/* Sizes an item for rows x columns tokens a plane and makes room for the picture; false where it
 * fails. */
static bool item_make(struct work *work, struct work_item *item, uint64_t rows, uint64_t columns) {
  const struct vqct_model_info *info = work->engine->info;
  uint64_t most = work->service->limits.pixels / info->downsampling;
  if (rows == 0 || columns == 0) {
    item_fail(item, PROBLEM_BAD_TOKENS, "the grid is empty");
    return false;
  }
  if (rows > most || columns > most) {
    item_fail(item, PROBLEM_IMAGE_TOO_LARGE, "a grid of %llux%llu; %llu pixels are allowed",
              (unsigned long long)columns, (unsigned long long)rows,
              (unsigned long long)work->service->limits.pixels);
    return false;
  }
  uint32_t height = (uint32_t)rows * info->downsampling;
  uint32_t width = (uint32_t)columns * info->downsampling;
  if (!item_set_shape(work, item, height, width) ||
      !work_reserve_pixels(work, job_pixels(&item->job)))
    return false;
  item->image = (struct vqct_image){malloc((size_t)job_pixels(&item->job) * info->channels), width,
                                    height, info->channels};
  if (!item->image.pixels)
    item_fail(item, PROBLEM_OUT_OF_MEMORY, "no memory for the picture");
  return item->image.pixels != NULL;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static bool read_plane(struct work_item *item, const json_t *plane, size_t index, size_t count) {
  if (!json_is_array(plane) || json_array_size(plane) != count) {
    item_fail(item, PROBLEM_BAD_TOKENS, "plane %zu does not hold rows times columns = %zu tokens",
              index, count);
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    const json_t *number = json_array_get(plane, i);
    json_int_t token = json_integer_value(number);
    if (!json_is_integer(number) || token < 0 || token > UINT32_MAX) {
      item_fail(item, PROBLEM_BAD_TOKENS, "token %zu of plane %zu is not a whole number", i, index);
      return false;
    }
    item->tokens[index * count + i] = (uint32_t)token;
  }
  return true;
}

static void read_json_item(struct work *work, struct work_item *item, const json_t *value) {
  const json_t *tokens = json_object_get(value, "tokens");
  const json_t *grid = json_object_get(value, "grid");
  const json_t *rows = json_array_get(grid, 0), *columns = json_array_get(grid, 1);
  size_t planes = work->engine->info->planes;
  if (json_array_size(grid) != 2 || !json_is_integer(rows) || !json_is_integer(columns) ||
      json_integer_value(rows) < 0 || json_integer_value(columns) < 0) {
    item_fail(item, PROBLEM_BAD_TOKENS, "\"grid\" is not [rows, columns]");
    return;
  }
  if (json_array_size(tokens) != planes) {
    item_fail(item, PROBLEM_BAD_TOKENS, "\"tokens\" is not an array of %zu planes", planes);
    return;
  }
  if (!item_make(work, item, (uint64_t)json_integer_value(rows),
                 (uint64_t)json_integer_value(columns)))
    return;
  for (size_t p = 0; p < planes; p++)
    if (!read_plane(item, json_array_get(tokens, p), p, item_tokens(work, item) / planes))
      return;
}

static void read_json(struct work *work) {
  const struct vqct_model_info *info = work->engine->info;
  const struct work_limits *limits = &work->service->limits;
  /* Twice: the answer of encode, words and all, may come back as it is. */
  uint64_t cells = limits->pixels / info->downsampling / info->downsampling + JSON_VALUES_EXTRA;
  uint64_t values = 2 * info->planes * cells * limits->images;
  json_t *root = body_json(work, (size_t)(values < JSON_VALUES_MAX ? values : JSON_VALUES_MAX));
  if (!root)
    return;
  const json_t *images = json_object_get(root, "images");
  work->many = images != NULL;
  if (images && !json_is_array(images))
    work_fail(work, PROBLEM_BAD_BODY, "\"images\" is not an array");
  else if (work_make_items(work, images ? json_array_size(images) : 1))
    for (size_t i = 0; i < work->count && !work->refused; i++)
      read_json_item(work, &work->items[i], images ? json_array_get(images, i) : root);
  json_decref(root);
}

/* ---- npy and packed -------------------------------------------------------------------------- */

static uint64_t number_at(const struct tensor *tensor, size_t index) {
  const uint8_t *bytes = tensor->data;
  size_t size = tensor_type_size(tensor->type);
  uint64_t number = 0;
  for (size_t i = size; i--;)
    number = number << 8 | bytes[index * size + i];
  return number;
}

static bool is_whole(enum tensor_type type) {
  return type == TENSOR_U8 || type == TENSOR_U16 || type == TENSOR_U32 || type == TENSOR_U64 ||
         type == TENSOR_I16 || type == TENSOR_I32 || type == TENSOR_I64;
}

/* Copies a picture's tokens; what is no token (a negative number reads as a huge one) becomes
 * UINT32_MAX, which is in no plane. */
static void copy_tokens(const struct work *work, struct work_item *item,
                        const struct tensor *tensor, size_t first) {
  size_t count = item_tokens(work, item);
  for (size_t i = 0; i < count; i++) {
    uint64_t token = number_at(tensor, first + i);
    item->tokens[i] = token < UINT32_MAX ? (uint32_t)token : UINT32_MAX;
  }
}

static void read_tensor(struct work *work, const struct tensor *tensor) {
  size_t planes = work->engine->info->planes;
  const size_t *shape = tensor->shape + (tensor->dims == 4);
  if (!is_whole(tensor->type) || (tensor->dims != 3 && tensor->dims != 4) || shape[0] != planes) {
    work_fail(work, PROBLEM_BAD_TOKENS,
              "%s %s: whole numbers of shape [images, %zu, rows, columns] or without images are "
              "allowed",
              tensor_type_name(tensor->type), tensor_shape_text(tensor->dims, tensor->shape).text,
              planes);
    return;
  }
  work->many = tensor->dims == 4;
  if (!work_make_items(work, work->many ? tensor->shape[0] : 1))
    return;
  for (size_t i = 0; i < work->count && !work->refused; i++) {
    struct work_item *item = &work->items[i];
    if (item_make(work, item, shape[1], shape[2]))
      copy_tokens(work, item, tensor, i * item_tokens(work, item));
  }
}

static void read_npy(struct work *work) {
  struct tensor tensor;
  struct vqct_error error;
  if (npy_parse("body", work->body.data, work->body.size, &tensor, &error))
    work_fail(work, PROBLEM_BAD_BODY, "%s", error.message);
  else
    read_tensor(work, &tensor);
}

static void read_packed(struct work *work) {
  const struct vqct_model_info *info = work->engine->info;
  struct tensor tensor = {.name = "",
                          .type = info->codes <= 65536 ? TENSOR_U16 : TENSOR_U32,
                          .dims = 4,
                          .shape = {0, info->planes, work->grid_height, work->grid_width},
                          .data = work->body.data};
  size_t image =
      (size_t)info->planes * work->grid_height * work->grid_width * tensor_type_size(tensor.type);
  if (!work->body.size || work->body.size % image) {
    work_fail(work, PROBLEM_BAD_TOKENS, "%zu bytes are not a multiple of the %zu of one picture",
              work->body.size, image);
    return;
  }
  tensor.shape[0] = work->body.size / image;
  if (tensor.shape[0] == 1) {
    tensor.dims = 3;
    memmove(tensor.shape, tensor.shape + 1, 3 * sizeof *tensor.shape);
  }
  read_tensor(work, &tensor);
}

/* Whether each token belongs to its plane: checked here, so that a worker's batch cannot fail. */
static void check_tokens(const struct work *work, struct work_item *item) {
  const struct vqct_model_info *info = work->engine->info;
  size_t cells = (size_t)item->job.grid_height * item->job.grid_width;
  for (size_t p = 0; p < info->planes; p++)
    for (size_t i = 0; i < cells; i++) {
      uint32_t token = item->tokens[p * cells + i], first = info->plane[p].first;
      if (token >= first && token - first < info->plane[p].count)
        continue;
      item_fail(item, PROBLEM_BAD_TOKENS, "token %zu of plane %s is %u; %u to %u are its codes", i,
                info->plane[p].name, token, first, first + info->plane[p].count - 1);
      return;
    }
}

void prepare_tokens(struct work *work) {
  if (work->input == FORM_JSON)
    read_json(work);
  else if (work->input == FORM_NPY)
    read_npy(work);
  else
    read_packed(work);
  if (!work->refused && work->count > 1 && work->output != FORM_JSON)
    work_fail(work, PROBLEM_NOT_ACCEPTABLE, "only application/json holds %zu pictures",
              work->count);
  for (size_t i = 0; !work->refused && i < work->count; i++)
    if (!work->items[i].failed)
      check_tokens(work, &work->items[i]);
}
