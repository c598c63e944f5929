/* GET /v1/model and /v1/models: what is served. */
#include <string.h>
#include <time.h>

#include "choice.h"
#include "render.h"

static void add_facts(struct text *text, const struct service *service,
                      const struct engine *engine) {
  const struct vqct_model_info *info = engine->info;
  char opened[32];
  struct tm parts;
  gmtime_r(&engine->opened, &parts);
  strftime(opened, sizeof opened, "%Y-%m-%dT%H:%M:%SZ", &parts);
  text_print(text, "\"name\":\"%s\",\"default\":%s,", engine->name,
             engine == service->models->engines[0] ? "true" : "false");
  render_model_members(text, info);
  text_print(text,
             ",\"channels\":%u,\"codes\":%u,\"code_dimension\":%u,\"parameters\":%llu,"
             "\"encode_flops\":%llu,\"decode_flops\":%llu,\"opened\":\"%s\"",
             info->channels, info->codes, info->code_dimension,
             (unsigned long long)info->parameters, (unsigned long long)info->encode_flops,
             (unsigned long long)info->decode_flops, opened);
}

void model_handle(void *context, struct exchange *exchange) {
  static const char *const names[] = {"model", NULL};
  struct service *service = context;
  struct reply *reply = &exchange->reply;
  if (!exchange_check_query(exchange, names))
    return;
  const struct engine *engine = choice_of_query(service, exchange);
  if (!engine)
    return;
  reply->status = 200;
  reply->type = "application/json";
  text_add(&reply->body, "{", 1);
  add_facts(&reply->body, service, engine);
  text_print(&reply->body, ",\"version\":\"%s\",\"architecture\":%s", vqct_version(),
             engine->info->architecture);
  text_print(
      &reply->body,
      ",\"limits\":{\"images\":%zu,\"pixels\":%llu,\"image_pixels\":%llu,\"body_bytes\":%llu}}\n",
      service->limits.images, (unsigned long long)service->limits.pixels,
      (unsigned long long)service->limits.image.pixels,
      (unsigned long long)exchange->listener->options.limits.body_bytes);
  reply_body_not_modified(reply, exchange_header(exchange, "If-None-Match"));
}

void models_handle(void *context, struct exchange *exchange) {
  static const char *const names[] = {NULL};
  struct service *service = context;
  struct reply *reply = &exchange->reply;
  if (!exchange_check_query(exchange, names))
    return;
  reply->status = 200;
  reply->type = "application/json";
  text_print(&reply->body, "{\"models\":[");
  for (size_t i = 0; i < service->models->count; i++) {
    text_print(&reply->body, i ? ",{" : "{");
    add_facts(&reply->body, service, service->models->engines[i]);
    text_add(&reply->body, "}", 1);
  }
  text_print(&reply->body, "]}\n");
  reply_body_not_modified(reply, exchange_header(exchange, "If-None-Match"));
}
