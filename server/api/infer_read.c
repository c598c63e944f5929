/* The body of an inference request: one tensor, as JSON or behind it. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "body.h"
#include "infer.h"
#include "prepare.h"

#define JSON_VALUES_EXTRA 256                 /* besides the tensor's numbers */
#define JSON_VALUES_MAX   ((uint64_t)2 << 20) /* about 80 MB once parsed */
#define ID_MAX            1024                /* bytes */

/* A tensor as it came: of whole numbers, or of texts (BYTES). */
struct input {
  struct tensor tensor;
  bool texts;
  const json_t *values; /* NULL: packed, */
  const uint8_t *bytes; /* here */
  size_t size;
};

/* ---- what the JSON says of a tensor ---------------------------------------------------------- */

static bool read_shape(struct request *request, const json_t *shape, struct input *input) {
  size_t dims = json_array_size(shape);
  if (!json_is_array(shape) || !dims || dims > TENSOR_DIMS_MAX) {
    request_fail(request, PROBLEM_BAD_BODY, "%s: \"shape\" is not an array of 1 to %d sizes",
                 input->tensor.name, TENSOR_DIMS_MAX);
    return false;
  }
  input->tensor.dims = (int)dims;
  for (size_t i = 0; i < dims; i++) {
    const json_t *side = json_array_get(shape, i);
    if (!json_is_integer(side) || json_integer_value(side) < 0) {
      request_fail(request, PROBLEM_BAD_BODY, "%s: size %zu of \"shape\" is not a whole number",
                   input->tensor.name, i);
      return false;
    }
    input->tensor.shape[i] = (size_t)json_integer_value(side);
  }
  if (tensor_set_count(&input->tensor))
    return true;
  request_fail(request, PROBLEM_BAD_BODY, "%s: \"shape\" is too large", input->tensor.name);
  return false;
}

static bool read_type(struct request *request, const json_t *type, struct input *input) {
  const char *name = json_string_value(type);
  input->texts = name && !strcmp(name, "BYTES");
  input->tensor.type = TENSOR_U8;
  if (input->texts || (name && infer_type_find(name, &input->tensor.type)))
    return true;
  request_fail(request, PROBLEM_BAD_BODY,
               "%s: datatype '%.20s' is not read here; BYTES, UINT8 and "
               "other whole numbers are",
               input->tensor.name, name ? name : "");
  return false;
}

/* The tensor's bytes behind the JSON: all of them, as there is but one tensor. */
static bool take_bytes(struct request *request, const json_t *size, struct input *input) {
  const struct text *body = &request->body;
  size_t json = (size_t)request->infer.json_size, left = body->size - json;
  if (!json_is_integer(size) || json_integer_value(size) < 0 ||
      (uint64_t)json_integer_value(size) != left) {
    request_fail(request, PROBLEM_BAD_BODY,
                 "%s: binary_data_size does not say the %zu bytes that follow the JSON",
                 input->tensor.name, left);
    return false;
  }
  input->bytes = (const uint8_t *)body->data + json;
  input->size = left;
  if (input->texts || left == input->tensor.count * tensor_type_size(input->tensor.type))
    return true;
  request_fail(request, PROBLEM_BAD_BODY, "%s: %zu bytes are not %s of shape %s",
               input->tensor.name, left, infer_type_name(input->tensor.type),
               tensor_shape_text(input->tensor.dims, input->tensor.shape).text);
  return false;
}

static bool read_data(struct request *request, const json_t *description, struct input *input) {
  const json_t *size =
      json_object_get(json_object_get(description, "parameters"), "binary_data_size");
  bool binary = request->infer.json_size != UINT64_MAX;
  input->values = json_object_get(description, "data");
  if (size && input->values)
    request_fail(request, PROBLEM_BAD_BODY, "%s has both \"data\" and binary_data_size",
                 input->tensor.name);
  else if (size && !binary)
    request_fail(request, PROBLEM_BAD_BODY,
                 "binary_data_size needs the header Inference-Header-Content-Length");
  else if (size)
    return take_bytes(request, size, input);
  else if (binary && request->infer.json_size != request->body.size)
    request_fail(request, PROBLEM_BAD_BODY, "bytes follow the JSON, and no input has them");
  else if (!json_is_array(input->values))
    request_fail(request, PROBLEM_BAD_BODY, "%s has no array \"data\"", input->tensor.name);
  return !request->refused;
}

static bool read_input(struct request *request, const json_t *root, struct input *input) {
  const json_t *inputs = json_object_get(root, "inputs"), *only = json_array_get(inputs, 0);
  if (json_array_size(inputs) != 1 || !json_is_object(only)) {
    request_fail(request, PROBLEM_BAD_BODY, "\"inputs\" holds %zu tensors; one is taken",
                 json_array_size(inputs));
    return false;
  }
  *input = (struct input){.tensor.name = json_string_value(json_object_get(only, "name"))};
  if (!input->tensor.name) {
    request_fail(request, PROBLEM_BAD_BODY, "the input has no name");
    return false;
  }
  return read_type(request, json_object_get(only, "datatype"), input) &&
         read_shape(request, json_object_get(only, "shape"), input) &&
         read_data(request, only, input);
}

/* ---- "data" ---------------------------------------------------------------------------------- */

/* Where the values of a JSON array go, row by row; it may be nested as the shape is, or flat. */
struct filler {
  const struct input *input;
  uint8_t *numbers;         /* packed; NULL for texts, */
  struct picture *pictures; /* which go here */
  size_t filled;
};

static bool fits_type(json_int_t value, enum tensor_type type) {
  unsigned bits = 8 * (unsigned)tensor_type_size(type);
  bool is_signed = type == TENSOR_I8 || type == TENSOR_I16 || type == TENSOR_I32;
  if (type == TENSOR_I64)
    return true;
  if (is_signed)
    return value >= -((json_int_t)1 << (bits - 1)) && value < (json_int_t)1 << (bits - 1);
  return value >= 0 && (bits == 64 || value < (json_int_t)1 << bits);
}

static bool fill_one(struct filler *filler, const json_t *value) {
  const struct tensor *tensor = &filler->input->tensor;
  if (filler->filled == tensor->count)
    return false;
  size_t at = filler->filled++, size = tensor_type_size(tensor->type);
  if (!filler->numbers) {
    picture_from_base64(&filler->pictures[at], value);
    return true;
  }
  if (!json_is_integer(value) || !fits_type(json_integer_value(value), tensor->type))
    return false;
  for (size_t i = 0; i < size; i++)
    filler->numbers[at * size + i] = (uint8_t)((uint64_t)json_integer_value(value) >> 8 * i);
  return true;
}

static bool fill(struct filler *filler, const json_t *value, int depth) {
  if (!json_is_array(value))
    return fill_one(filler, value);
  if (depth == TENSOR_DIMS_MAX)
    return false;
  for (size_t i = 0; i < json_array_size(value); i++)
    if (!fill(filler, json_array_get(value, i), depth + 1))
      return false;
  return true;
}

static bool fill_all(struct request *request, struct filler *filler) {
  const struct tensor *tensor = &filler->input->tensor;
  if (fill(filler, filler->input->values, 0) && filler->filled == tensor->count)
    return true;
  request_fail(request, PROBLEM_BAD_BODY,
               "%s: \"data\" does not hold %zu values of %s, as shape %s says", tensor->name,
               tensor->count, filler->numbers ? infer_type_name(tensor->type) : "base64",
               tensor_shape_text(tensor->dims, tensor->shape).text);
  return false;
}

/* The numbers in their places: in the body, or in memory that the caller frees (*owned). */
static bool find_numbers(struct request *request, struct input *input, void **owned) {
  *owned = NULL;
  input->tensor.data = input->bytes;
  if (!input->values)
    return true;
  if (input->tensor.count > JSON_VALUES_MAX) {
    request_fail(request, PROBLEM_BAD_BODY, "%s: \"data\" does not hold %zu values",
                 input->tensor.name, input->tensor.count);
    return false;
  }
  uint8_t *numbers = malloc(input->tensor.count * tensor_type_size(input->tensor.type) + 1);
  if (!numbers) {
    request_fail(request, PROBLEM_OUT_OF_MEMORY, "no memory for the tensor");
    return false;
  }
  struct filler filler = {.input = input, .numbers = numbers};
  *owned = numbers;
  input->tensor.data = numbers;
  return fill_all(request, &filler);
}

/* ---- the tensors ----------------------------------------------------------------------------- */

/* Files of pictures: each after its length in four bytes. */
static bool split_texts(struct request *request, const struct input *input) {
  size_t at = 0;
  for (size_t i = 0; i < request->count; i++) {
    const uint8_t *length = input->bytes + at;
    if (input->size - at < 4)
      break;
    size_t size =
        length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 | (size_t)length[3] << 24;
    at += 4;
    if (size > input->size - at)
      break;
    request->pictures[i].file = input->bytes + at;
    request->pictures[i].file_size = size;
    at += size;
    if (i + 1 == request->count && at == input->size)
      return true;
  }
  request_fail(request, PROBLEM_BAD_BODY, "%s: %zu bytes are not %zu texts, each after its length",
               input->tensor.name, input->size, request->count);
  return false;
}

static void read_images(struct request *request, const struct input *input) {
  const struct tensor *tensor = &input->tensor;
  if (!input->texts || (tensor->dims != 1 && (tensor->dims != 2 || tensor->shape[1] != 1))) {
    request_fail(request, PROBLEM_BAD_BODY, "image is BYTES of shape [images]");
    return;
  }
  if (!request_make_pictures(request, tensor->count))
    return;
  if (!input->values) {
    split_texts(request, input);
    return;
  }
  struct filler filler = {.input = input, .pictures = request->pictures};
  fill_all(request, &filler);
}

static void take_pixels(struct request *request, struct picture *picture, const uint8_t *pixels,
                        uint32_t height, uint32_t width) {
  const struct vqct_model_info *info = request->engine->info;
  if (!picture_set_shape(request, picture, height, width) ||
      !request_reserve_pixels(request, job_pixels(&picture->job)))
    return;
  size_t size = (size_t)job_pixels(&picture->job) * info->channels;
  picture->image = (struct vqct_image){malloc(size), width, height, info->channels};
  if (picture->image.pixels)
    memcpy(picture->image.pixels, pixels, size);
  else
    picture_fail(picture, PROBLEM_OUT_OF_MEMORY, "no memory for the picture");
}

static void read_pixels(struct request *request, struct input *input) {
  const struct vqct_model_info *info = request->engine->info;
  const struct tensor *tensor = &input->tensor;
  const size_t *shape = tensor->shape;
  if (input->texts || tensor->type != TENSOR_U8 || tensor->dims != 4 ||
      shape[3] != info->channels) {
    request_fail(request, PROBLEM_BAD_BODY, "pixels is UINT8 of shape [images, rows, columns, %u]",
                 info->channels);
    return;
  }
  if (request->infer.fits) {
    request_fail(request, PROBLEM_BAD_PARAMETER,
                 "resize, size, crop and focus are for image; pixels are taken as they are");
    return;
  }
  uint64_t most = request->service->limits.pixels;
  if (!shape[1] || !shape[2] || shape[1] > most || shape[2] > most ||
      shape[1] % info->downsampling || shape[2] % info->downsampling) {
    request_fail(
        request, PROBLEM_IMAGE_TOO_LARGE,
        "pixels of %zu rows and %zu columns; multiples of %u are taken, %llu pixels at most",
        shape[1], shape[2], info->downsampling, (unsigned long long)most);
    return;
  }
  void *owned;
  if (find_numbers(request, input, &owned) && request_make_pictures(request, shape[0]))
    for (size_t i = 0; i < request->count && !request->refused; i++)
      take_pixels(request, &request->pictures[i],
                  (const uint8_t *)tensor->data + i * shape[1] * shape[2] * shape[3],
                  (uint32_t)shape[1], (uint32_t)shape[2]);
  request->ready = true;
  free(owned);
}

static void read_tokens(struct request *request, struct input *input) {
  void *owned;
  if (input->texts || input->tensor.dims != 4) {
    request_fail(request, PROBLEM_BAD_BODY,
                 "tokens are whole numbers of shape [images, %u, rows, columns]",
                 request->engine->info->planes);
    return;
  }
  if (find_numbers(request, input, &owned))
    tokens_from_tensor(request, &input->tensor);
  free(owned);
}

static void read_tensor(struct request *request, struct input *input) {
  bool encodes = request->kind == REQUEST_ENCODE;
  if (encodes && !strcmp(input->tensor.name, "image"))
    read_images(request, input);
  else if (encodes && !strcmp(input->tensor.name, "pixels"))
    read_pixels(request, input);
  else if (!encodes && !strcmp(input->tensor.name, "tokens"))
    read_tokens(request, input);
  else
    request_fail(request, PROBLEM_BAD_BODY, "'%.40s' is no input of this model; %s",
                 input->tensor.name, encodes ? "image or pixels is" : "tokens is");
}

/* ---- what is asked for ----------------------------------------------------------------------- */

/* Beside the name, or among the parameters: the protocol says neither of an output that is asked
 * for, and clients have both. */
static bool read_output_type(struct request *request, const json_t *description,
                             struct infer_output *output) {
  const json_t *own = json_object_get(description, "datatype");
  const json_t *given =
      own ? own : json_object_get(json_object_get(description, "parameters"), "datatype");
  const char *name = json_string_value(given);
  output->type = TENSOR_U32;
  if (!given)
    return true;
  bool known =
      name && output->kind == INFER_TOKENS && infer_type_find(name, &output->type) &&
      (output->type == TENSOR_U16 || output->type == TENSOR_U32 || output->type == TENSOR_I64);
  if (known && (output->type != TENSOR_U16 || request->engine->info->codes <= 65536))
    return true;
  request_fail(
      request, PROBLEM_BAD_PARAMETER,
      "datatype '%.20s' is not given for %s; UINT32, INT64 and (up to 65,536 codes) UINT16 "
      "are for tokens",
      name ? name : "", infer_output_name(output->kind));
  return false;
}

static bool find_output(const struct request *request, const char *name,
                        enum infer_output_kind *kind) {
  bool encodes = request->kind == REQUEST_ENCODE;
  for (int i = encodes ? INFER_TOKENS : INFER_PIXELS; i <= (encodes ? INFER_TOKENS : INFER_IMAGE);
       i++)
    if (name && !strcmp(name, infer_output_name((enum infer_output_kind)i))) {
      *kind = (enum infer_output_kind)i;
      return true;
    }
  return false;
}

static bool read_output(struct request *request, const json_t *description, bool binary) {
  struct infer *infer = &request->infer;
  const char *name = json_string_value(json_object_get(description, "name"));
  const json_t *parameters = json_object_get(description, "parameters");
  const json_t *own = json_object_get(parameters, "binary_data");
  struct infer_output output = {.binary = own ? json_is_true(own) : binary};
  bool known = find_output(request, name, &output.kind);
  for (size_t i = 0; i < infer->output_count; i++)
    known = known && infer->outputs[i].kind != output.kind;
  if (!known) {
    request_fail(request, PROBLEM_BAD_BODY,
                 "'%.40s' is no output of this model, or asked for twice", name ? name : "");
    return false;
  }
  if (!read_output_type(request, description, &output))
    return false;
  infer->outputs[infer->output_count++] = output;
  return true;
}

/* Those that are asked for, in that order; all where none is. */
static bool read_outputs(struct request *request, const json_t *root) {
  const json_t *outputs = json_object_get(root, "outputs");
  const json_t *parameters = json_object_get(root, "parameters");
  bool binary = json_is_true(json_object_get(parameters, "binary_data_output"));
  if ((outputs && !json_is_array(outputs)) || (parameters && !json_is_object(parameters))) {
    request_fail(request, PROBLEM_BAD_BODY, "outputs is an array and parameters an object");
    return false;
  }
  if (json_array_size(outputs) == 0) {
    struct infer *infer = &request->infer;
    bool encodes = request->kind == REQUEST_ENCODE;
    infer->output_count = encodes ? 1 : 2;
    infer->outputs[0] =
        (struct infer_output){encodes ? INFER_TOKENS : INFER_PIXELS, TENSOR_U32, binary};
    infer->outputs[1] = (struct infer_output){INFER_IMAGE, TENSOR_U32, binary};
    return true;
  }
  for (size_t i = 0; i < json_array_size(outputs); i++)
    if (!read_output(request, json_array_get(outputs, i), binary))
      return false;
  return true;
}

/* Numbers as text take several times what they are as bytes, so the answer has the bound that a
 * body has: known before anything is computed. */
static void check_answer(struct request *request) {
  const struct infer *infer = &request->infer;
  uint64_t numbers = 0;
  for (size_t i = 0; i < request->count; i++)
    numbers += job_pixels(&request->pictures[i].job) * request->engine->info->channels;
  for (size_t i = 0; i < infer->output_count; i++)
    if (infer->outputs[i].kind == INFER_PIXELS && !infer->outputs[i].binary &&
        numbers > JSON_VALUES_MAX)
      request_fail(request, PROBLEM_NOT_ACCEPTABLE,
                   "pixels would be %llu numbers of JSON; %llu are allowed, so ask for binary_data",
                   (unsigned long long)numbers, (unsigned long long)JSON_VALUES_MAX);
}

static bool read_id(struct request *request, const json_t *root) {
  const json_t *id = json_object_get(root, "id");
  if (id && (!json_is_string(id) || json_string_length(id) > ID_MAX)) {
    request_fail(request, PROBLEM_BAD_BODY, "\"id\" is not a string of at most %d bytes", ID_MAX);
    return false;
  }
  if (id)
    text_add_json(&request->infer.id, json_string_value(id));
  return true;
}

/* What the JSON would say of a body without any: `tokens` is asked for, in binary. */
static void read_raw(struct request *request) {
  struct infer *infer = &request->infer;
  infer->outputs[infer->output_count++] = (struct infer_output){INFER_TOKENS, TENSOR_U32, true};
  read_pictures(request);
}

void infer_read(struct request *request) {
  uint64_t json = request->infer.json_size;
  struct input input;
  if (!json) {
    read_raw(request);
    return;
  }
  if (json != UINT64_MAX && json > request->body.size) {
    request_fail(request, PROBLEM_BAD_BODY,
                 "Inference-Header-Content-Length is %llu, the body has %zu bytes",
                 (unsigned long long)json, request->body.size);
    return;
  }
  uint64_t values = request->service->limits.pixels * request->engine->info->channels *
                        request->service->limits.images +
                    JSON_VALUES_EXTRA;
  json_t *root = body_json_part(request, json == UINT64_MAX ? request->body.size : (size_t)json,
                                (size_t)(values < JSON_VALUES_MAX ? values : JSON_VALUES_MAX));
  if (!root)
    return;
  if (read_id(request, root) && read_outputs(request, root) && read_input(request, root, &input))
    read_tensor(request, &input);
  if (!request->refused)
    check_answer(request);
  json_decref(root);
}
