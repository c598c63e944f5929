/* Files embedded in the program. */
#include <string.h>

#include "embed.h"
#include "service.h"

EMBED_FILE(openapi, "server/api/openapi.json")

static const struct {
  const char *path, *type;
  const unsigned char *data, *end;
} pages[] = {
    {"/openapi.json", "application/json", openapi_data, openapi_end},
};

void pages_handle(void *context, struct exchange *exchange) {
  (void)context;
  size_t i = 0;
  while (strcmp(pages[i].path, exchange->route->path))
    i++;
  exchange->reply.status = 200;
  exchange->reply.type = pages[i].type;
  exchange->reply.fixed = pages[i].data;
  exchange->reply.fixed_size = (size_t)(pages[i].end - pages[i].data);
}
