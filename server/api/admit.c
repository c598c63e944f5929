/* What the headers and the query of encode, decode and reconstruct say: checked, and a slot in the
 * queue reserved, before the body is read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accept.h"
#include "choice.h"
#include "infer.h"
#include "rates.h"
#include "stages.h"

#define SIZE_DEFAULT    256 /* pixels a side */
#define SIZE_MAX_SIDE   65535
#define SIZE_MAX_CROP   999999999
#define QUALITY_DEFAULT 90
#define OFFERS_MAX      5

static const char *const form_types[] = {[FORM_JSON] = "application/json",
                                         [FORM_NPY] = "application/x-npy",
                                         [FORM_PACKED] = "application/octet-stream",
                                         [FORM_PNG] = "image/png",
                                         [FORM_JPEG] = "image/jpeg",
                                         [FORM_WEBP] = "image/webp",
                                         [FORM_NDJSON] = "application/x-ndjson"};

static bool refuse_parameter(struct exchange *exchange, const char *name, const char *value,
                             const char *allowed) {
  reply_problem(&exchange->reply, PROBLEM_BAD_PARAMETER, "%s is '%.40s': %s is allowed", name,
                value, allowed);
  return false;
}

static bool read_number(const char *text, size_t length, uint32_t min, uint32_t max,
                        uint32_t *number) {
  if (length == 0 || length > 9 || strspn(text, "0123456789") < length)
    return false;
  *number = (uint32_t)strtoul(text, NULL, 10);
  return *number >= min && *number <= max;
}

/* "N", or two with a separator between them. */
static bool read_pair(const char *text, char separator, uint32_t max, uint32_t *first,
                      uint32_t *last) {
  const char separators[] = {separator, '\0'};
  size_t length = strcspn(text, separators);
  if (!read_number(text, length, 1, max, first))
    return false;
  *last = *first;
  const char *second = text + length + 1;
  return !text[length] || read_number(second, strlen(second), 1, max, last);
}

static bool read_switch(struct exchange *exchange, const char *name, bool *value) {
  const char *given = exchange_query(exchange, name);
  *value = given && (!*given || !strcmp(given, "true") || !strcmp(given, "1"));
  if (!given || *value || !strcmp(given, "false") || !strcmp(given, "0"))
    return true;
  return refuse_parameter(exchange, name, given, "true or false");
}

static bool read_resize(struct request *request, struct exchange *exchange) {
  static const char *const modes[] = {"cover", "contain", "none"};
  const char *mode = exchange_query(exchange, "resize");
  const char *size = exchange_query(exchange, "size");
  size_t i = 0;
  while (mode && i < 3 && strcmp(modes[i], mode))
    i++;
  if (i == 3)
    return refuse_parameter(exchange, "resize", mode, "cover, contain or none");
  request->resize = (enum vqct_resize)i;
  request->width = request->height = SIZE_DEFAULT;
  if (size && request->resize == VQCT_RESIZE_NONE)
    return refuse_parameter(exchange, "size", size, "no size with resize=none");
  if (size && !read_pair(size, 'x', SIZE_MAX_SIDE, &request->width, &request->height))
    return refuse_parameter(exchange, "size", size,
                            "1 to 65535 pixels a side, as a number or WIDTHxHEIGHT,");
  return true;
}

/* "LEFT,TOP,WIDTH,HEIGHT"; whether that lies inside a picture is seen when its header is read. */
static bool read_crop(struct request *request, struct exchange *exchange) {
  const char *given = exchange_query(exchange, "crop"), *text = given;
  struct fit_box *crop = &request->crop;
  uint32_t *const numbers[] = {&crop->left, &crop->top, &crop->width, &crop->height};
  for (size_t i = 0; text && i < 4; i++) {
    size_t length = strcspn(text, ",");
    bool valid = read_number(text, length, i < 2 ? 0 : 1, SIZE_MAX_CROP, numbers[i]);
    if (!valid || (text[length] == ',') != (i < 3))
      return refuse_parameter(exchange, "crop", given,
                              "LEFT,TOP,WIDTH,HEIGHT in pixels of the picture");
    text += length + (i < 3);
  }
  return true;
}

/* A number from 0 to 1. */
static bool read_part(const char *text, size_t length, double *part) {
  char *end;
  if (length == 0 || length > 20 || strspn(text, "0123456789.") < length)
    return false;
  *part = strtod(text, &end);
  return end == text + length && *part <= 1;
}

/* "X,Y" */
static bool read_focus(struct request *request, struct exchange *exchange) {
  const char *given = exchange_query(exchange, "focus");
  struct fit_point *focus = &request->focus;
  if (!given)
    return true;
  size_t length = strcspn(given, ",");
  const char *second = given[length] ? given + length + 1 : "";
  focus->given =
      read_part(given, length, &focus->x) && read_part(second, strlen(second), &focus->y);
  if (!focus->given)
    return refuse_parameter(exchange, "focus", given, "X,Y, each from 0 to 1,");
  return request->resize == VQCT_RESIZE_COVER ||
         refuse_parameter(exchange, "focus", given, "no focus but with resize=cover");
}

/* What the pixels of a request become. */
static bool read_fit(struct request *request, struct exchange *exchange) {
  return read_resize(request, exchange) && read_crop(request, exchange) &&
         read_focus(request, exchange);
}

static bool read_quality(struct request *request, struct exchange *exchange) {
  const char *given = exchange_query(exchange, "quality");
  uint32_t quality = QUALITY_DEFAULT;
  if (given && !read_number(given, strlen(given), 1, 100, &quality))
    return refuse_parameter(exchange, "quality", given, "1 to 100");
  request->quality = (int)quality;
  return true;
}

/* How the files of pictures are written, as far as Accept does not say. */
static bool read_picture_form(struct request *request, struct exchange *exchange) {
  return read_quality(request, exchange) && read_switch(exchange, "lossless", &request->lossless);
}

/* The names that pictures have, registered or not. */
static bool is_picture_type(const char *type) {
  static const char *const names[] = {"image/png",   "image/jpeg",  "image/jpg",
                                      "image/pjpeg", "image/x-png", "image/webp"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (content_type_is(type, names[i]))
      return true;
  return false;
}

/* Content-Encoding: none, or what can be decompressed. A list is of one coding over another, which
 * is not undone here. */
static bool read_encoding(struct request *request, struct exchange *exchange) {
  struct text given = exchange_header_list(exchange, "Content-Encoding");
  bool one = given.size && !given.failed && !strchr(given.data, ',');
  bool plain = !given.failed && (!given.size || (one && content_type_is(given.data, "identity")));
  request->body_limit = exchange->body_limit;
  request->compressed =
      one && (content_type_is(given.data, "gzip") || content_type_is(given.data, "x-gzip") ||
              content_type_is(given.data, "deflate"));
  if (given.failed) {
    reply_problem(&exchange->reply, PROBLEM_OUT_OF_MEMORY, "no memory for Content-Encoding");
  } else if (!plain && !request->compressed) {
    reply_header(&exchange->reply, "Accept-Encoding", "gzip, deflate, identity");
    reply_problem(&exchange->reply, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                  "Content-Encoding is '%.40s'; gzip and deflate are read here", given.data);
  }
  text_free(&given);
  return plain || request->compressed;
}

/* Whether tokens must be of the model served. */
static bool read_model_check(struct request *request, struct exchange *exchange) {
  const char *given = exchange_query(exchange, "model_check");
  request->any_model = given && !strcmp(given, "off");
  return !given || request->any_model || !strcmp(given, "on") ||
         refuse_parameter(exchange, "model_check", given, "on or off");
}

/* The body's form after Content-Type; a picture's own bytes tell what kind of picture it is. */
static bool read_input(struct request *request, struct exchange *exchange) {
  const char *type = exchange_header(exchange, "Content-Type");
  bool tokens = request->kind == REQUEST_DECODE;
  if (type && content_type_is(type, "application/json"))
    request->input = FORM_JSON;
  else if (!type || content_type_is(type, "application/octet-stream"))
    request->input = tokens ? FORM_PACKED : FORM_IMAGE;
  else if (tokens && content_type_is(type, "application/x-npy"))
    request->input = FORM_NPY;
  else if (!tokens && is_picture_type(type))
    request->input = FORM_IMAGE;
  else if (!tokens && content_type_is(type, "multipart/form-data"))
    request->input = FORM_MULTIPART;
  if (request->input == FORM_NONE && !tokens && !strncmp(type, "image/", 6)) {
    reply_problem(&exchange->reply, PROBLEM_UNSUPPORTED_MEDIA_TYPE,
                  "'%.80s' is not read here: PNG, JPEG or WebP", type);
    return false;
  }
  if (request->input == FORM_NONE) {
    reply_problem(&exchange->reply, PROBLEM_UNSUPPORTED_MEDIA_TYPE, "'%.80s'; %s is read here",
                  type,
                  tokens ? "application/json, application/x-npy or application/octet-stream"
                         : "image/png, image/jpeg, image/webp, application/octet-stream, "
                           "multipart/form-data or application/json");
    return false;
  }
  if (request->input == FORM_MULTIPART &&
      !content_type_parameter(type, "boundary", request->boundary, sizeof request->boundary)) {
    reply_problem(&exchange->reply, PROBLEM_BAD_REQUEST,
                  "multipart/form-data needs a boundary of 1 to 70 characters");
    return false;
  }
  request->many = request->input == FORM_JSON || request->input == FORM_MULTIPART;
  return true;
}

static bool read_output(struct request *request, struct exchange *exchange, const enum form *offers,
                        size_t count) {
  const char *types[OFFERS_MAX];
  char list[OFFERS_MAX * 40] = "";
  for (size_t i = 0; i < count; i++) {
    types[i] = form_types[offers[i]];
    size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", types[i]);
  }
  const char *accept = exchange_header(exchange, "Accept");
  int chosen = accept_choose(accept, types, count);
  request->json_too = accept_choose(accept, &form_types[FORM_JSON], 1) == 0;
  if (chosen >= 0) {
    request->output = offers[chosen];
    return true;
  }
  reply_problem(&exchange->reply, PROBLEM_NOT_ACCEPTABLE, "Accept is '%.80s'; offered: %s", accept,
                list);
  return false;
}

/* The shape of packed tokens, which carry none themselves: rows first, as everywhere. With an x the
 * columns once came first, so that is taken only where both are the same. */
static bool read_grid(struct request *request, struct exchange *exchange) {
  const char *given = exchange_query(exchange, "grid");
  if (request->input != FORM_PACKED)
    return !given || refuse_parameter(exchange, "grid", given, "no grid but with packed tokens");
  uint32_t *rows = &request->grid_height, *columns = &request->grid_width;
  if (given && read_pair(given, ',', SIZE_MAX_SIDE, rows, columns))
    return true;
  if (given && read_pair(given, 'x', SIZE_MAX_SIDE, columns, rows) && *rows == *columns)
    return true;
  return refuse_parameter(exchange, "grid", given ? given : "",
                          "ROWS,COLUMNS of the packed tokens");
}

static bool reserve_slot(struct request *request, struct exchange *exchange) {
  struct service *service = request->service;
  bool chunked = exchange->declared == UINT64_MAX;
  struct reservation more = {.images = 1, .bytes = chunked ? 0 : exchange->declared};
  enum refusal refusal =
      admission_reserve(&service->admission, request->urgency, &request->reserved, more);
  if (refusal == REFUSAL_NONE)
    return true;
  service_refuse(service, &exchange->reply, refusal);
  return false;
}

/* Notes whether the model is known by now. */
static void settle_model(struct request *request) {
  request->settled = choice_settled(request);
  request_note_model(request);
}

/* The request of an exchange, which forgets it when its client leaves; NULL where it is refused. */
static struct request *begin(struct service *service, struct exchange *exchange,
                             enum request_kind kind, const char *const *names) {
  if (!exchange_check_query(exchange, names))
    return NULL;
  struct engine *engine = choice_of_query(service, exchange);
  if (!engine)
    return NULL;
  exchange->cancel = request_cancel;
  struct request *request = request_new(service, exchange, kind, engine);
  if (!request)
    return NULL;
  request->chosen = exchange_query(exchange, "model") != NULL;
  settle_model(request);
  return rates_admit(service, exchange) ? request : NULL;
}

/* Where the JSON of an inference request ends and its binary tensors begin. Without any JSON the
 * body is the one text of `image`, since no other input's shape follows from its bytes. */
static bool read_json_size(struct request *request, struct exchange *exchange) {
  const char *given = exchange_header(exchange, "Inference-Header-Content-Length");
  uint32_t size;
  request->infer.json_size = UINT64_MAX;
  if (!given)
    return true;
  if (!read_number(given, strlen(given), 0, 999999999, &size))
    return refuse_parameter(exchange, "Inference-Header-Content-Length", given,
                            "a number of bytes");
  if (!size && request->kind == REQUEST_DECODE)
    return refuse_parameter(exchange, "Inference-Header-Content-Length", given,
                            "more, as bytes alone do not tell the shape of tokens,");
  request->infer.json_size = size;
  return true;
}

static bool check_model(struct request *request, struct exchange *exchange) {
  settle_model(request);
  return !request->settled || choice_suits(request, &exchange->reply);
}

/* How tokens are written in JSON. */
static bool read_token_form(struct request *request, struct exchange *exchange) {
  const char *given = exchange_query(exchange, "encode");
  request->base64 = given && !strcmp(given, "base64");
  return !given || request->base64 || !strcmp(given, "numbers") ||
         refuse_parameter(exchange, "encode", given, "base64 or numbers");
}

/* Which vectors are asked for, and whether their mean. */
static bool read_vectors(struct request *request, struct exchange *exchange) {
  const char *given = exchange_query(exchange, "vectors"), *pool = exchange_query(exchange, "pool");
  if (given && !strcmp(given, "codes"))
    request->vectors = VECTORS_CODES;
  else if (given && !strcmp(given, "encodings"))
    request->vectors = VECTORS_ENCODINGS;
  else if (given)
    return refuse_parameter(exchange, "vectors", given, "codes or encodings");
  request->mean = pool && !strcmp(pool, "mean");
  if (pool && (!request->mean || !given))
    return refuse_parameter(exchange, "pool", pool, "mean, of vectors,");
  static const char *const token_names[] = {"words", "encode"};
  for (size_t i = 0; given && i < 2; i++) {
    const char *unfit = exchange_query(exchange, token_names[i]);
    if (unfit)
      return refuse_parameter(exchange, token_names[i], unfit, "with vectors nothing");
  }
  return true;
}

bool encode_admit(void *context, struct exchange *exchange) {
  static const char *const names[] = {"resize", "size",  "crop",    "focus", "words",
                                      "encode", "model", "vectors", "pool",  NULL};
  static const enum form offers[] = {FORM_JSON, FORM_NPY, FORM_PACKED, FORM_NDJSON};
  struct request *request = begin(context, exchange, REQUEST_ENCODE, names);
  if (!request || !read_fit(request, exchange) || !read_vectors(request, exchange))
    return false;
  bool vectors = request->vectors != VECTORS_NONE; /* they are no JSON */
  return read_switch(exchange, "words", &request->words) && read_token_form(request, exchange) &&
         read_input(request, exchange) && check_model(request, exchange) &&
         read_encoding(request, exchange) &&
         read_output(request, exchange, offers + vectors, vectors ? 2 : 4) &&
         reserve_slot(request, exchange);
}

bool decode_admit(void *context, struct exchange *exchange) {
  static const char *const names[] = {"grid", "quality", "lossless", "model_check", "model", NULL};
  static const enum form offers[OFFERS_MAX] = {FORM_PNG, FORM_JPEG, FORM_WEBP, FORM_JSON,
                                               FORM_NDJSON};
  struct request *request = begin(context, exchange, REQUEST_DECODE, names);
  return request && read_picture_form(request, exchange) && read_input(request, exchange) &&
         check_model(request, exchange) && read_encoding(request, exchange) &&
         read_grid(request, exchange) && read_model_check(request, exchange) &&
         read_output(request, exchange, offers, OFFERS_MAX) && reserve_slot(request, exchange);
}

bool reconstruct_admit(void *context, struct exchange *exchange) {
  static const char *const names[] = {"resize", "size",    "crop",     "focus", "words",
                                      "encode", "quality", "lossless", "model", NULL};
  static const enum form offers[OFFERS_MAX] = {FORM_PNG, FORM_JPEG, FORM_WEBP, FORM_JSON,
                                               FORM_NDJSON};
  struct request *request = begin(context, exchange, REQUEST_RECONSTRUCT, names);
  return request && read_fit(request, exchange) && read_picture_form(request, exchange) &&
         read_switch(exchange, "words", &request->words) && read_token_form(request, exchange) &&
         read_input(request, exchange) && check_model(request, exchange) &&
         read_encoding(request, exchange) && read_output(request, exchange, offers, OFFERS_MAX) &&
         reserve_slot(request, exchange);
}

bool infer_admit(void *context, struct exchange *exchange) {
  static const char *const fit_names[] = {"resize", "size", "crop", "focus", NULL};
  static const char *const no_names[] = {NULL};
  struct service *service = context;
  enum request_kind kind;
  struct engine *engine = infer_model(service, exchange, &kind);
  if (!engine || !exchange_check_query(exchange, kind == REQUEST_ENCODE ? fit_names : no_names) ||
      !rates_admit(service, exchange))
    return false;
  exchange->cancel = request_cancel;
  struct request *request = request_new(service, exchange, kind, engine);
  if (!request)
    return false;
  request->chosen = request->many = true;
  request->input = request->output = FORM_INFER;
  for (size_t i = 0; fit_names[i]; i++)
    request->infer.fits |= exchange_query(exchange, fit_names[i]) != NULL;
  return read_fit(request, exchange) && check_model(request, exchange) &&
         read_encoding(request, exchange) && read_json_size(request, exchange) &&
         reserve_slot(request, exchange);
}
