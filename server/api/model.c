/* GET /v1/model: what the served model is. */
#include <string.h>
#include <time.h>

#include "render.h"

void model_handle(void *context, struct exchange *exchange) {
  static const char *const names[] = {NULL};
  struct service *service = context;
  const struct vqct_model_info *info = service->engine->info;
  struct reply *reply = &exchange->reply;
  if (!exchange_check_query(exchange, names))
    return;
  char opened[32];
  struct tm parts;
  gmtime_r(&service->engine->opened, &parts);
  strftime(opened, sizeof opened, "%Y-%m-%dT%H:%M:%SZ", &parts);
  reply->status = 200;
  reply->type = "application/json";
  text_add(&reply->body, "{", 1);
  render_model_members(&reply->body, info);
  text_print(&reply->body,
             ",\"channels\":%u,\"codes\":%u,\"code_dimension\":%u,\"parameters\":%llu,"
             "\"encode_flops\":%llu,\"decode_flops\":%llu,\"opened\":\"%s\",\"version\":\"%s\","
             "\"architecture\":%s",
             info->channels, info->codes, info->code_dimension,
             (unsigned long long)info->parameters, (unsigned long long)info->encode_flops,
             (unsigned long long)info->decode_flops, opened, vqct_version(), info->architecture);
  text_print(
      &reply->body,
      ",\"limits\":{\"images\":%zu,\"pixels\":%llu,\"image_pixels\":%llu,\"body_bytes\":%llu}}\n",
      service->limits.images, (unsigned long long)service->limits.pixels,
      (unsigned long long)service->limits.image.pixels,
      (unsigned long long)exchange->listener->options.limits.body_bytes);
}
