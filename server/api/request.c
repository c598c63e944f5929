/* The floor of the stages: what any of them may do with a request on any thread. */
#include "request.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "priority.h"

_Static_assert(JOB_CLASSES == URGENCY_MAX + 1, "an urgency of HTTP is a class of jobs");

/* The record whose member this is (the address of a member gives that of the whole). */
#define OWNER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct picture *picture_of_job(struct job *job) {
  return OWNER_OF(job, struct picture, job);
}

struct request *request_of_task(struct task *task) {
  return OWNER_OF(task, struct request, task);
}

struct picture *picture_of_task(struct task *task) {
  return OWNER_OF(task, struct picture, task);
}

struct request *request_new(struct service *service, struct exchange *exchange,
                            enum request_kind kind, struct engine *engine) {
  struct request *request = calloc(1, sizeof *request);
  if (!request) {
    reply_problem(&exchange->reply, PROBLEM_OUT_OF_MEMORY, "no memory for the request");
    return NULL;
  }
  request->service = service;
  request->models = models_retain(service->models);
  request->engine = engine;
  request->exchange = exchange;
  request->kind = kind;
  request->urgency = exchange_urgency(exchange);
  request->takes_gzip = exchange->takes_gzip;
  atomic_init(&request->cancelled, false);
  atomic_init(&request->refused, false);
  atomic_init(&request->refusal, REFUSAL_NONE);
  service->requests++;
  request->reply.error_member = exchange->reply.error_member;
  exchange->request = request;
  return request;
}

void request_note_model(const struct request *request) {
  struct exchange *exchange = request->exchange;
  *exchange->subject = '\0';
  if (request->settled)
    memcpy(exchange->subject, request->engine->name, sizeof request->engine->name);
}

void request_free(struct request *request) {
  struct service *service = request->service;
  admission_return(&service->admission, &request->reserved, request->reserved);
  for (size_t i = 0; i < request->count; i++) {
    free(request->pictures[i].owned);
    free(request->pictures[i].tokens);
    free(request->pictures[i].encodings);
    vqct_image_free(&request->pictures[i].image);
    vqct_image_free(&request->pictures[i].result);
    text_free(&request->pictures[i].members);
  }
  free(request->pictures);
  text_free(&request->body);
  text_free(&request->infer.id);
  reply_free(&request->reply);
  models_release(request->models);
  service->requests--;
  free(request);
}

void request_fail(struct request *request, enum problem problem, const char *format, ...) {
  char detail[512];
  va_list args;
  va_start(args, format);
  vsnprintf(detail, sizeof detail, format, args);
  va_end(args);
  request->refused = true;
  reply_problem(&request->reply, problem, "%s", detail);
}

void picture_fail(struct picture *picture, enum problem problem, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(picture->detail, sizeof picture->detail, format, args);
  va_end(args);
  picture->failed = true;
  picture->problem = problem;
}

static bool request_reserve(struct request *request, struct reservation more) {
  enum refusal refusal =
      admission_reserve(&request->service->admission, request->urgency, &request->reserved, more);
  if (refusal == REFUSAL_NONE)
    return true;
  atomic_store(&request->refusal, (int)refusal);
  atomic_store(&request->refused, true);
  return false;
}

bool request_reserve_bytes(struct request *request, uint64_t bytes) {
  return request_reserve(request, (struct reservation){.bytes = bytes});
}

bool request_settle_form(struct request *request) {
  bool single =
      request->output == FORM_PNG || request->output == FORM_JPEG || request->output == FORM_WEBP;
  if (!single || request->count < 2)
    return true;
  request->output = FORM_JSON;
  if (!request->json_too)
    request_fail(request, PROBLEM_NOT_ACCEPTABLE, "only application/json holds %zu pictures",
                 request->count);
  return request->json_too;
}

bool request_make_pictures(struct request *request, size_t count) {
  struct service *service = request->service;
  if (count == 0) {
    request_fail(request, PROBLEM_BAD_BODY, "the body holds no picture");
    return false;
  }
  if (count > service->limits.images) {
    request_fail(request, PROBLEM_BODY_TOO_LARGE, "%zu pictures a request are allowed",
                 service->limits.images);
    return false;
  }
  if (!request_reserve(request, (struct reservation){.images = count - 1}))
    return false;
  request->pictures = calloc(count, sizeof *request->pictures);
  if (!request->pictures) {
    request_fail(request, PROBLEM_OUT_OF_MEMORY, "no memory for %zu pictures", count);
    return false;
  }
  for (size_t i = 0; i < count; i++)
    request->pictures[i].job.owner = request;
  request->count = count;
  return true;
}

bool request_reserve_pixels(struct request *request, uint64_t pixels) {
  return request_reserve(request, (struct reservation){.pixels = pixels});
}

enum tensor_type tokens_type(const struct vqct_model_info *info) {
  return info->codes <= 65536 ? TENSOR_U16 : TENSOR_U32;
}

const char *tokens_type_name(enum tensor_type type) {
  return type == TENSOR_U16 ? "uint16" : "uint32";
}

size_t picture_tokens(const struct request *request, const struct picture *picture) {
  return (size_t)request->engine->info->planes * picture->job.grid_height * picture->job.grid_width;
}

size_t picture_vector_numbers(const struct request *request, const struct picture *picture) {
  return (size_t)request->engine->info->vector_dimension * picture->job.grid_height *
         picture->job.grid_width;
}

/* Reserves what the vectors of a picture will take: in the answer, and before it where the network
 * writes them. A request that is alone is refused nothing, so its own bound is checked here. */
static bool make_vectors(struct request *request, struct picture *picture) {
  uint64_t size = picture_vector_numbers(request, picture) * sizeof(float);
  uint64_t most = request->service->admission.limit.bytes / request->count;
  bool encodings = request->vectors == VECTORS_ENCODINGS;
  uint64_t answer = request->mean ? request->engine->info->vector_dimension * sizeof(float) : size;
  uint64_t bytes = answer + (encodings ? size : 0);
  if (bytes > most) {
    picture_fail(picture, PROBLEM_IMAGE_TOO_LARGE,
                 "its vectors take %llu bytes; %llu are allowed with so many pictures",
                 (unsigned long long)bytes, (unsigned long long)most);
    return false;
  }
  if (!request_reserve_bytes(request, bytes))
    return false;
  picture->vector_bytes = bytes;
  if (!encodings)
    return true;
  picture->encodings = malloc((size_t)size);
  if (!picture->encodings)
    picture_fail(picture, PROBLEM_OUT_OF_MEMORY, "no memory for its vectors");
  return picture->encodings != NULL;
}

bool picture_set_shape(struct request *request, struct picture *picture, uint32_t height,
                       uint32_t width) {
  const struct vqct_model_info *info = request->engine->info;
  struct job *job = &picture->job;
  if ((uint64_t)height * width > request->service->limits.pixels) {
    picture_fail(picture, PROBLEM_IMAGE_TOO_LARGE, "%ux%u pixels after resizing; %llu are allowed",
                 width, height, (unsigned long long)request->service->limits.pixels);
    return false;
  }
  job->height = height;
  job->width = width;
  job->grid_height = height / info->downsampling;
  job->grid_width = width / info->downsampling;
  picture->tokens = calloc(picture_tokens(request, picture), sizeof *picture->tokens);
  if (!picture->tokens)
    picture_fail(picture, PROBLEM_OUT_OF_MEMORY, "no memory for its tokens");
  return picture->tokens && (!request->vectors || make_vectors(request, picture));
}
