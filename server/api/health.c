/* GET /livez and /readyz, on the second port. */
#include "service.h"

/* That the loop turns is what the answer itself shows. */
void livez_handle(void *context, struct exchange *exchange) {
  (void)context;
  exchange->reply.status = 200;
  exchange->reply.type = "application/json";
  text_print(&exchange->reply.body, "{\"alive\":true}\n");
}

void readyz_handle(void *context, struct exchange *exchange) {
  const char *reason = service_not_ready(context);
  exchange->reply.status = reason ? 503 : 200;
  exchange->reply.type = "application/json";
  if (reason)
    text_print(&exchange->reply.body, "{\"ready\":false,\"reason\":\"%s\"}\n", reason);
  else
    text_print(&exchange->reply.body, "{\"ready\":true}\n");
}
