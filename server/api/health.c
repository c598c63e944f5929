/* GET /livez and /readyz, on the second port. */
#include "choice.h"

/* That the loop turns is what the answer itself shows. */
void livez_handle(void *context, struct exchange *exchange) {
  (void)context;
  exchange->reply.status = 200;
  exchange->reply.type = "application/json";
  text_print(&exchange->reply.body, "{\"alive\":true}\n");
}

/* A model is served from when it is loaded, so one that is asked for by name is ready, or unknown
 * here; the list is for who waits for one to come. */
void readyz_handle(void *context, struct exchange *exchange) {
  const struct service *service = context;
  const struct models *models = service->models;
  const char *reason = service_not_ready(service);
  struct text *text = &exchange->reply.body;
  if (!choice_of_query(service, exchange))
    return;
  exchange->reply.status = reason ? 503 : 200;
  exchange->reply.type = "application/json";
  text_print(text, "{\"ready\":%s,", reason ? "false" : "true");
  if (reason)
    text_print(text, "\"reason\":\"%s\",", reason);
  text_print(text, "\"models\":[");
  for (size_t i = 0; i < models->count; i++)
    text_print(text, "%s\"%s\"", i ? "," : "", models->engines[i]->name);
  text_print(text, "]}\n");
}
