/* What the headers and the query of encode, decode and reconstruct say: checked, and a slot in the
 * queue reserved, before the body is read. */
#include <stdlib.h>
#include <string.h>

#include "accept.h"
#include "request.h"
#include "stages.h"

#define SIZE_DEFAULT    256 /* pixels a side */
#define SIZE_MAX_SIDE   65535
#define QUALITY_DEFAULT 90

static const char *const form_types[] = {[FORM_JSON] = "application/json",
                                         [FORM_NPY] = "application/x-npy",
                                         [FORM_PACKED] = "application/octet-stream",
                                         [FORM_PNG] = "image/png",
                                         [FORM_JPEG] = "image/jpeg"};

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

/* "N" or "WIDTHxHEIGHT". */
static bool read_pair(const char *text, uint32_t max, uint32_t *width, uint32_t *height) {
  size_t length = strcspn(text, "x");
  if (!read_number(text, length, 1, max, width))
    return false;
  *height = *width;
  const char *second = text + length + 1;
  return !text[length] || read_number(second, strlen(second), 1, max, height);
}

static bool read_switch(struct exchange *exchange, const char *name, bool *value) {
  const char *given = exchange_query(exchange, name);
  *value = given && !strcmp(given, "true");
  if (!given || *value || !strcmp(given, "false"))
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
  if (size && !read_pair(size, SIZE_MAX_SIDE, &request->width, &request->height))
    return refuse_parameter(exchange, "size", size, "a number of pixels or WIDTHxHEIGHT");
  uint32_t factor = request->engine->info->downsampling;
  bool exact = request->width % factor == 0 && request->height % factor == 0;
  if (request->resize == VQCT_RESIZE_COVER && !exact) {
    char allowed[64];
    snprintf(allowed, sizeof allowed, "a multiple of %u", factor);
    return refuse_parameter(exchange, "size", size ? size : "256", allowed);
  }
  return true;
}

static bool read_quality(struct request *request, struct exchange *exchange) {
  const char *given = exchange_query(exchange, "quality");
  uint32_t quality = QUALITY_DEFAULT;
  if (given && !read_number(given, strlen(given), 1, 100, &quality))
    return refuse_parameter(exchange, "quality", given, "1 to 100");
  request->quality = (int)quality;
  return true;
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
  else if (!tokens && (content_type_is(type, "image/png") || content_type_is(type, "image/jpeg")))
    request->input = FORM_IMAGE;
  else if (!tokens && content_type_is(type, "multipart/form-data"))
    request->input = FORM_MULTIPART;
  if (request->input == FORM_NONE) {
    reply_problem(&exchange->reply, PROBLEM_UNSUPPORTED_MEDIA_TYPE, "'%.80s'; %s is read here",
                  type,
                  tokens ? "application/json, application/x-npy or application/octet-stream"
                         : "image/png, image/jpeg, application/octet-stream, multipart/form-data "
                           "or application/json");
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
  const char *types[3];
  for (size_t i = 0; i < count; i++)
    types[i] = form_types[offers[i]];
  const char *accept = exchange_header(exchange, "Accept");
  int chosen = accept_choose(accept, types, count);
  if (chosen >= 0) {
    request->output = offers[chosen];
    return true;
  }
  reply_problem(&exchange->reply, PROBLEM_NOT_ACCEPTABLE, "Accept is '%.80s'; offered: %s, %s, %s",
                accept, types[0], types[1], types[2]);
  return false;
}

/* The shape of packed tokens, which carry none themselves. */
static bool read_grid(struct request *request, struct exchange *exchange) {
  const char *given = exchange_query(exchange, "grid");
  if (request->input != FORM_PACKED)
    return !given || refuse_parameter(exchange, "grid", given, "no grid but with packed tokens");
  if (given && read_pair(given, SIZE_MAX_SIDE, &request->grid_width, &request->grid_height))
    return true;
  return refuse_parameter(exchange, "grid", given ? given : "",
                          "COLUMNSxROWS of the packed tokens");
}

static bool reserve_slot(struct request *request, struct exchange *exchange) {
  struct service *service = request->service;
  if (service->phase == SERVICE_DRAINING) {
    reply_problem(&exchange->reply, PROBLEM_DRAINING, "connect again to reach another server");
    return false;
  }
  bool chunked = exchange->declared == UINT64_MAX;
  struct reservation more = {.images = 1, .bytes = chunked ? 0 : exchange->declared};
  enum refusal refusal = admission_reserve(&service->admission, &request->reserved, more);
  if (refusal == REFUSAL_NONE)
    return true;
  service_refuse(service, &exchange->reply, refusal);
  return false;
}

/* The request of an exchange, which forgets it when its client leaves; NULL where it is refused. */
static struct request *begin(struct service *service, struct exchange *exchange,
                             enum request_kind kind, const char *const *names) {
  if (!exchange_check_query(exchange, names))
    return NULL;
  exchange->cancel = request_cancel;
  return request_new(service, exchange, kind);
}

bool encode_admit(void *context, struct exchange *exchange) {
  static const char *const names[] = {"resize", "size", "words", NULL};
  static const enum form offers[] = {FORM_JSON, FORM_NPY, FORM_PACKED};
  struct request *request = begin(context, exchange, REQUEST_ENCODE, names);
  return request && read_resize(request, exchange) &&
         read_switch(exchange, "words", &request->words) && read_input(request, exchange) &&
         read_output(request, exchange, offers, 3) && reserve_slot(request, exchange);
}

bool decode_admit(void *context, struct exchange *exchange) {
  static const char *const names[] = {"grid", "quality", NULL};
  static const enum form offers[] = {FORM_PNG, FORM_JPEG, FORM_JSON};
  struct request *request = begin(context, exchange, REQUEST_DECODE, names);
  return request && read_quality(request, exchange) && read_input(request, exchange) &&
         read_grid(request, exchange) && read_output(request, exchange, offers, 3) &&
         reserve_slot(request, exchange);
}

bool reconstruct_admit(void *context, struct exchange *exchange) {
  static const char *const names[] = {"resize", "size", "words", "quality", NULL};
  static const enum form offers[] = {FORM_PNG, FORM_JPEG, FORM_JSON};
  struct request *request = begin(context, exchange, REQUEST_RECONSTRUCT, names);
  return request && read_resize(request, exchange) && read_quality(request, exchange) &&
         read_switch(exchange, "words", &request->words) && read_input(request, exchange) &&
         read_output(request, exchange, offers, 3) && reserve_slot(request, exchange);
}
