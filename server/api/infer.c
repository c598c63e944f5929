/* GET /v2 and below: what the service and its models are in the words of the Open Inference
 * Protocol. */
#include "infer.h"

#include <string.h>

#include "choice.h"

/* ---- names ----------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  enum tensor_type type;
} types[] = {{"UINT8", TENSOR_U8},   {"UINT16", TENSOR_U16}, {"UINT32", TENSOR_U32},
             {"UINT64", TENSOR_U64}, {"INT8", TENSOR_I8},    {"INT16", TENSOR_I16},
             {"INT32", TENSOR_I32},  {"INT64", TENSOR_I64}};

const char *infer_type_name(enum tensor_type type) {
  size_t i = 0;
  while (types[i].type != type)
    i++;
  return types[i].name;
}

bool infer_type_find(const char *name, enum tensor_type *type) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (!strcmp(types[i].name, name)) {
      *type = types[i].type;
      return true;
    }
  return false;
}

const char *infer_output_name(enum infer_output_kind kind) {
  static const char *const names[] = {"tokens", "pixels", "image"};
  return names[kind];
}

struct engine *infer_model(const struct service *service, struct exchange *exchange,
                           enum request_kind *kind) {
  const char *given = exchange->parameter, *dot = strrchr(given, '.');
  char name[ROUTE_PARAMETER_MAX + 1];
  bool decodes = dot && !strcmp(dot, ".decode"), encodes = dot && !strcmp(dot, ".encode");
  snprintf(name, sizeof name, "%.*s", dot ? (int)(dot - given) : 0, given);
  struct engine *engine = encodes || decodes ? models_find(service->models, name) : NULL;
  *kind = decodes ? REQUEST_DECODE : REQUEST_ENCODE;
  if (!engine || (decodes && !engine->info->decode_flops)) {
    reply_problem(
        &exchange->reply, PROBLEM_UNKNOWN_MODEL,
        "'%.80s'; NAME.encode and, where it has a decoder, NAME.decode is served for each "
        "NAME of /v1/models",
        given);
    return NULL;
  }
  memcpy(exchange->subject, engine->name, sizeof engine->name);
  return engine;
}

/* ---- the server ------------------------------------------------------------------------------ */

static struct text *begin(struct exchange *exchange, unsigned status) {
  static const char *const names[] = {NULL};
  if (!exchange_check_query(exchange, names))
    return NULL;
  exchange->reply.status = status;
  exchange->reply.type = "application/json";
  return &exchange->reply.body;
}

void infer_server_handle(void *context, struct exchange *exchange) {
  struct text *text = begin(exchange, 200);
  (void)context;
  if (text)
    text_print(text,
               "{\"name\":\"vqct\",\"version\":\"%s\",\"extensions\":[\"binary_tensor_data\"]}\n",
               vqct_version());
}

void infer_live_handle(void *context, struct exchange *exchange) {
  struct text *text = begin(exchange, 200);
  (void)context;
  if (text)
    text_print(text, "{\"live\":true}\n");
}

void infer_ready_handle(void *context, struct exchange *exchange) {
  bool ready = !service_not_ready(context);
  struct text *text = begin(exchange, ready ? 200 : 503);
  if (text)
    text_print(text, "{\"ready\":%s}\n", ready ? "true" : "false");
}

/* ---- a model --------------------------------------------------------------------------------- */

static void add_encoder(struct text *text, const struct vqct_model_info *info) {
  text_print(text,
             "\"inputs\":[{\"name\":\"image\",\"datatype\":\"BYTES\",\"shape\":[-1]},"
             "{\"name\":\"pixels\",\"datatype\":\"UINT8\",\"shape\":[-1,-1,-1,%u]}],"
             "\"outputs\":[{\"name\":\"tokens\",\"datatype\":\"UINT32\",\"shape\":[-1,%u,-1,-1]}]",
             info->channels, info->planes);
}

static void add_decoder(struct text *text, const struct vqct_model_info *info) {
  text_print(text,
             "\"inputs\":[{\"name\":\"tokens\",\"datatype\":\"UINT32\",\"shape\":[-1,%u,-1,-1]}],"
             "\"outputs\":[{\"name\":\"pixels\",\"datatype\":\"UINT8\",\"shape\":[-1,-1,-1,%u]},"
             "{\"name\":\"image\",\"datatype\":\"BYTES\",\"shape\":[-1]}]",
             info->planes, info->channels);
}

void infer_model_handle(void *context, struct exchange *exchange) {
  enum request_kind kind;
  const struct engine *engine = infer_model(context, exchange, &kind);
  struct text *text = engine ? begin(exchange, 200) : NULL;
  if (!text)
    return;
  text_print(text, "{\"name\":\"%s\",\"versions\":[\"1\"],\"platform\":\"vqct\",",
             exchange->parameter);
  if (kind == REQUEST_ENCODE)
    add_encoder(text, engine->info);
  else
    add_decoder(text, engine->info);
  text_add(text, "}\n", 2);
}

void infer_model_ready_handle(void *context, struct exchange *exchange) {
  enum request_kind kind;
  bool ready = !service_not_ready(context);
  struct text *text =
      infer_model(context, exchange, &kind) ? begin(exchange, ready ? 200 : 503) : NULL;
  if (text)
    text_print(text, "{\"name\":\"%s\",\"ready\":%s}\n", exchange->parameter,
               ready ? "true" : "false");
}
