#include "choice.h"

#include <stdio.h>
#include <string.h>

#define LISTED_MAX 400 /* characters of the names that a refusal lists */

/* ---- by name --------------------------------------------------------------------------------- */

static void refuse_name(struct reply *reply, const struct models *models, const char *name) {
  char names[LISTED_MAX + 1] = "";
  size_t used = 0;
  for (size_t i = 0; i < models->count; i++) {
    const char *next = models->engines[i]->name;
    bool last = used + strlen(next) + 7 > LISTED_MAX;
    used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                             last ? "..." : next);
    if (last)
      break;
  }
  reply_problem(reply, PROBLEM_UNKNOWN_MODEL, "no model is named '%.80s'; served: %s", name, names);
}

struct engine *choice_of_query(const struct service *service, struct exchange *exchange) {
  const char *name = exchange_query(exchange, "model");
  struct engine *engine = models_find(service->models, name);
  if (engine)
    memcpy(exchange->subject, engine->name, sizeof engine->name);
  else
    refuse_name(&exchange->reply, service->models, name);
  return engine;
}

/* ---- what a model can do --------------------------------------------------------------------- */

bool choice_suits(const struct request *request, struct reply *reply) {
  const struct vqct_model_info *info = request->engine->info;
  bool decodes = request->kind != REQUEST_ENCODE, reads = request->kind != REQUEST_DECODE;
  uint32_t factor = info->downsampling;
  if (decodes && !info->decode_flops) {
    reply_problem(reply, PROBLEM_NOT_FOUND, "the model has no decoder: it only encodes");
    return false;
  }
  if (!reads || request->resize != VQCT_RESIZE_COVER ||
      (request->width % factor == 0 && request->height % factor == 0))
    return true;
  reply_problem(reply, PROBLEM_BAD_PARAMETER,
                "size is '%ux%u': a multiple of %u is allowed with the model %s", request->width,
                request->height, factor, request->engine->name);
  return false;
}

bool choice_settled(const struct request *request) {
  enum form input = request->input;
  bool can_name = input == FORM_NONE || input == FORM_JSON || input == FORM_MULTIPART;
  return request->models->count == 1 || request->chosen || !can_name;
}

/* ---- by the body ----------------------------------------------------------------------------- */

static bool take(struct request *request, struct engine *engine) {
  request->engine = engine;
  request->settled = true;
  if (choice_suits(request, &request->reply))
    return true;
  request->refused = true;
  return false;
}

bool choice_of_body(struct request *request, const char *name) {
  struct engine *engine = models_find(request->models, name);
  if (!engine) {
    refuse_name(&request->reply, request->models, name);
    request->refused = true;
    request->settled = false;
    return false;
  }
  if (request->chosen && engine != request->engine) {
    request_fail(request, PROBLEM_BAD_PARAMETER, "the model is '%s' in the query, '%s' in the body",
                 request->engine->name, engine->name);
    return false;
  }
  return take(request, engine);
}

bool choice_of_tokens(struct request *request, const char *checksum, const char *name) {
  const struct vqct_model_info *info = request->engine->info;
  struct engine *engine = request->chosen ? NULL : models_of_checksum(request->models, checksum);
  if (engine)
    return take(request, engine);
  if (request->any_model || !strcmp(checksum, info->checksum))
    return take(request, request->engine);
  bool only = request->chosen || request->models->count == 1;
  if (!name)
    name = "a model without a name";
  if (only)
    request_fail(request, PROBLEM_OTHER_MODEL,
                 "the tokens are of %.80s (%.16s), the model served is %s (%.16s); "
                 "model_check=off decodes them all the same",
                 name, checksum, info->name, info->checksum);
  else
    request_fail(request, PROBLEM_OTHER_MODEL,
                 "the tokens are of %.80s (%.16s), which is not served; model_check=off decodes "
                 "them all the same",
                 name, checksum);
  return false;
}
