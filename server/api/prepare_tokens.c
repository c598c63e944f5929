/* Tokens out of a body: JSON, npy, or packed numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "body.h"
#include "choice.h"
#include "npy.h"
#include "prepare.h"

/* What the tokens of one picture take besides themselves in a JSON body: names, brackets, words. */
#define JSON_VALUES_EXTRA 64
#define JSON_VALUES_MAX   ((uint64_t)2 << 20) /* about 80 MB once parsed */

/* Sizes an item for rows x columns tokens a plane and makes room for the picture; false where it
 * fails. */
static bool picture_make(struct request *request, struct picture *picture, uint64_t rows,
                         uint64_t columns) {
  const struct vqct_model_info *info = request->engine->info;
  uint64_t most = request->service->limits.pixels / info->downsampling;
  if (rows == 0 || columns == 0) {
    picture_fail(picture, PROBLEM_BAD_TOKENS, "the grid is empty");
    return false;
  }
  if (rows > most || columns > most) {
    picture_fail(picture, PROBLEM_IMAGE_TOO_LARGE, "a grid of %llux%llu; %llu pixels are allowed",
                 (unsigned long long)columns, (unsigned long long)rows,
                 (unsigned long long)request->service->limits.pixels);
    return false;
  }
  uint32_t height = (uint32_t)rows * info->downsampling;
  uint32_t width = (uint32_t)columns * info->downsampling;
  if (!picture_set_shape(request, picture, height, width) ||
      !request_reserve_pixels(request, job_pixels(&picture->job)))
    return false;
  picture->image = (struct vqct_image){malloc((size_t)job_pixels(&picture->job) * info->channels),
                                       width, height, info->channels};
  if (!picture->image.pixels)
    picture_fail(picture, PROBLEM_OUT_OF_MEMORY, "no memory for the picture");
  return picture->image.pixels != NULL;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static uint64_t number_at(const struct tensor *tensor, size_t index) {
  const uint8_t *bytes = tensor->data;
  size_t size = tensor_type_size(tensor->type);
  bool is_signed = tensor->type == TENSOR_I8 || tensor->type == TENSOR_I16 ||
                   tensor->type == TENSOR_I32 || tensor->type == TENSOR_I64;
  uint64_t number = is_signed && bytes[index * size + size - 1] >> 7 ? UINT64_MAX : 0;
  for (size_t i = size; i--;)
    number = number << 8 | bytes[index * size + i];
  return number;
}

/* Copies a picture's tokens; what is no token (a negative number reads as a huge one) becomes
 * UINT32_MAX, which is in no plane. */
static void copy_tokens(const struct request *request, struct picture *picture,
                        const struct tensor *tensor, size_t first) {
  size_t count = picture_tokens(request, picture);
  for (size_t i = 0; i < count; i++) {
    uint64_t token = number_at(tensor, first + i);
    picture->tokens[i] = token < UINT32_MAX ? (uint32_t)token : UINT32_MAX;
  }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static bool read_plane(struct picture *picture, const json_t *plane, size_t index, size_t count) {
  if (!json_is_array(plane) || json_array_size(plane) != count) {
    picture_fail(picture, PROBLEM_BAD_TOKENS,
                 "plane %zu does not hold rows times columns = %zu tokens", index, count);
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    const json_t *number = json_array_get(plane, i);
    json_int_t token = json_integer_value(number);
    if (!json_is_integer(number) || token < 0 || token > UINT32_MAX) {
      picture_fail(picture, PROBLEM_BAD_TOKENS, "token %zu of plane %zu is not a whole number", i,
                   index);
      return false;
    }
    picture->tokens[index * count + i] = (uint32_t)token;
  }
  return true;
}

/* The type that "dtype" names; that of the model's packed tokens where there is none. */
static bool read_dtype(const struct request *request, const json_t *dtype, enum tensor_type *type) {
  const char *name = json_string_value(dtype);
  *type = tokens_type(request->engine->info);
  if (!dtype)
    return true;
  *type = name && !strcmp(name, tokens_type_name(TENSOR_U16)) ? TENSOR_U16 : TENSOR_U32;
  return name && !strcmp(name, tokens_type_name(*type));
}

/* Packed tokens, as encode=base64 writes them. */
static void read_base64(const struct request *request, struct picture *picture,
                        const json_t *tokens, const json_t *dtype) {
  struct tensor tensor = {0};
  size_t size = json_string_length(tokens), decoded = 0;
  if (!read_dtype(request, dtype, &tensor.type)) {
    picture_fail(picture, PROBLEM_BAD_TOKENS, "\"dtype\" is not uint16 or uint32");
    return;
  }
  size_t wanted = picture_tokens(request, picture) * tensor_type_size(tensor.type);
  unsigned char *bytes = malloc(base64_decoded_size(size));
  if (!bytes)
    picture_fail(picture, PROBLEM_OUT_OF_MEMORY, "no memory for its tokens");
  else if (!base64_decode(json_string_value(tokens), size, bytes, &decoded))
    picture_fail(picture, PROBLEM_BAD_TOKENS, "\"tokens\" is a string that is not base64");
  else if (decoded != wanted)
    picture_fail(picture, PROBLEM_BAD_TOKENS,
                 "\"tokens\" are %zu bytes; planes times rows times columns take %zu", decoded,
                 wanted);
  tensor.data = bytes;
  if (!picture->failed)
    copy_tokens(request, picture, &tensor, 0);
  free(bytes);
}

static void read_json_picture(struct request *request, struct picture *picture,
                              const json_t *value) {
  const json_t *tokens = json_object_get(value, "tokens");
  const json_t *grid = json_object_get(value, "grid");
  const json_t *rows = json_array_get(grid, 0), *columns = json_array_get(grid, 1);
  size_t planes = request->engine->info->planes;
  if (json_array_size(grid) != 2 || !json_is_integer(rows) || !json_is_integer(columns) ||
      json_integer_value(rows) < 0 || json_integer_value(columns) < 0) {
    picture_fail(picture, PROBLEM_BAD_TOKENS, "\"grid\" is not [rows, columns]");
    return;
  }
  if (!json_is_string(tokens) && json_array_size(tokens) != planes) {
    picture_fail(picture, PROBLEM_BAD_TOKENS,
                 "\"tokens\" is not an array of %zu planes, nor base64 of packed tokens", planes);
    return;
  }
  if (!picture_make(request, picture, (uint64_t)json_integer_value(rows),
                    (uint64_t)json_integer_value(columns)))
    return;
  if (json_is_string(tokens)) {
    read_base64(request, picture, tokens, json_object_get(value, "dtype"));
    return;
  }
  for (size_t p = 0; p < planes; p++)
    if (!read_plane(picture, json_array_get(tokens, p), p,
                    picture_tokens(request, picture) / planes))
      return;
}

/* The answer of encode says which model its tokens are of; others may name one as it is served. */
static bool take_model(struct request *request, const json_t *root) {
  const json_t *model = json_object_get(root, "model");
  const char *checksum = json_string_value(json_object_get(model, "checksum"));
  if (checksum)
    return choice_of_tokens(request, checksum, json_string_value(json_object_get(model, "name")));
  return choice_of_body(request,
                        json_is_string(model) ? json_string_value(model) : request->engine->name);
}

/* Values that a body for any of the models may hold; twice, as the answer of encode, words and all,
 * may come back as it is. */
static size_t most_values(const struct request *request) {
  const struct request_limits *limits = &request->service->limits;
  uint64_t most = 0;
  for (size_t i = 0; i < request->models->count; i++) {
    const struct vqct_model_info *info = request->models->engines[i]->info;
    uint64_t cells = limits->pixels / info->downsampling / info->downsampling + JSON_VALUES_EXTRA;
    uint64_t values = 2 * info->planes * cells * limits->images;
    most = values > most ? values : most;
  }
  return (size_t)(most < JSON_VALUES_MAX ? most : JSON_VALUES_MAX);
}

static void read_json(struct request *request) {
  json_t *root = body_json(request, most_values(request));
  if (!root)
    return;
  const json_t *images = json_object_get(root, "images");
  request->many = images != NULL;
  if (images && !json_is_array(images))
    request_fail(request, PROBLEM_BAD_BODY, "\"images\" is not an array");
  else if (take_model(request, root) &&
           request_make_pictures(request, images ? json_array_size(images) : 1))
    for (size_t i = 0; i < request->count && !request->refused; i++)
      read_json_picture(request, &request->pictures[i], images ? json_array_get(images, i) : root);
  json_decref(root);
}

/* ---- npy and packed -------------------------------------------------------------------------- */

static bool is_whole(enum tensor_type type) {
  return type == TENSOR_U8 || type == TENSOR_U16 || type == TENSOR_U32 || type == TENSOR_U64 ||
         type == TENSOR_I16 || type == TENSOR_I32 || type == TENSOR_I64;
}

static void read_tensor(struct request *request, const struct tensor *tensor) {
  size_t planes = request->engine->info->planes;
  const size_t *shape = tensor->shape + (tensor->dims == 4);
  if (!is_whole(tensor->type) || (tensor->dims != 3 && tensor->dims != 4) || shape[0] != planes) {
    request_fail(request, PROBLEM_BAD_TOKENS,
                 "%s %s: whole numbers of shape [images, %zu, rows, columns] or without images are "
                 "allowed",
                 tensor_type_name(tensor->type),
                 tensor_shape_text(tensor->dims, tensor->shape).text, planes);
    return;
  }
  request->many = tensor->dims == 4;
  if (!request_make_pictures(request, request->many ? tensor->shape[0] : 1))
    return;
  for (size_t i = 0; i < request->count && !request->refused; i++) {
    struct picture *picture = &request->pictures[i];
    if (picture_make(request, picture, shape[1], shape[2]))
      copy_tokens(request, picture, tensor, i * picture_tokens(request, picture));
  }
}

static void read_npy(struct request *request) {
  struct tensor tensor;
  struct vqct_error error;
  if (npy_parse("body", request->body.data, request->body.size, &tensor, &error))
    request_fail(request, PROBLEM_BAD_BODY, "%s", error.message);
  else
    read_tensor(request, &tensor);
}

static void read_packed(struct request *request) {
  const struct vqct_model_info *info = request->engine->info;
  struct tensor tensor = {.name = "",
                          .type = tokens_type(info),
                          .dims = 4,
                          .shape = {0, info->planes, request->grid_height, request->grid_width},
                          .data = request->body.data};
  size_t image = (size_t)info->planes * request->grid_height * request->grid_width *
                 tensor_type_size(tensor.type);
  if (!request->body.size || request->body.size % image) {
    request_fail(request, PROBLEM_BAD_TOKENS,
                 "%zu bytes are not a multiple of the %zu of one picture", request->body.size,
                 image);
    return;
  }
  tensor.shape[0] = request->body.size / image;
  if (tensor.shape[0] == 1) {
    tensor.dims = 3;
    memmove(tensor.shape, tensor.shape + 1, 3 * sizeof *tensor.shape);
  }
  read_tensor(request, &tensor);
}

/* Whether each token belongs to its plane: checked here, so that a worker's batch cannot fail. */
static void check_tokens(const struct request *request, struct picture *picture) {
  const struct vqct_model_info *info = request->engine->info;
  size_t cells = (size_t)picture->job.grid_height * picture->job.grid_width;
  for (size_t p = 0; p < info->planes; p++)
    for (size_t i = 0; i < cells; i++) {
      uint32_t token = picture->tokens[p * cells + i], first = info->plane[p].first;
      if (token >= first && token - first < info->plane[p].count)
        continue;
      char number[] = "negative or huge"; /* what copy_tokens() made UINT32_MAX of */
      if (token < UINT32_MAX)
        snprintf(number, sizeof number, "%u", token);
      picture_fail(picture, PROBLEM_BAD_TOKENS,
                   "token %zu of plane %s is %s; %u to %u are its codes", i, info->plane[p].name,
                   number, first, first + info->plane[p].count - 1);
      return;
    }
}

static void check_all(struct request *request) {
  request->ready = true;
  for (size_t i = 0; !request->refused && i < request->count; i++)
    if (!request->pictures[i].failed)
      check_tokens(request, &request->pictures[i]);
}

void tokens_from_tensor(struct request *request, const struct tensor *tensor) {
  read_tensor(request, tensor);
  check_all(request);
}

void prepare_tokens(struct request *request) {
  if (request->input == FORM_JSON)
    read_json(request);
  else if (request->input == FORM_NPY)
    read_npy(request);
  else
    read_packed(request);
  check_all(request);
}
