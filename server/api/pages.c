/* Files embedded in the program. */
#include <string.h>

#include "embed.h"
#include "service.h"

EMBED_FILE(openapi, "server/api/openapi.json")
EMBED_FILE(index, "server/web/index.html")
EMBED_FILE(dashboard_css, "server/web/dashboard.css")
EMBED_FILE(dashboard_js, "server/web/dashboard.js")
EMBED_FILE(page_js, "server/web/page.js")
EMBED_FILE(charts_js, "server/web/charts.js")
EMBED_FILE(codebooks_js, "server/web/codebooks.js")
EMBED_FILE(looks_js, "server/web/looks.js")
EMBED_FILE(pictures_js, "server/web/pictures.js")
EMBED_FILE(chelsea, "server/web/samples/chelsea.jpg")
EMBED_FILE(coffee, "server/web/samples/coffee.jpg")
EMBED_FILE(uplot_css, "server/web/vendor/uPlot.css")
EMBED_FILE(uplot_js, "server/web/vendor/uPlot.js")

/* The page runs only what came with it and asks only the service it came from. */
#define CONTENT_SECURITY_POLICY                                                                    \
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                  \
  "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const struct {
  const char *path, *type;
  const unsigned char *data, *end;
} pages[] = {
    {"/openapi.json", "application/json", openapi_data, openapi_end},
    {"/", "text/html; charset=utf-8", index_data, index_end},
    {"/assets/dashboard.css", "text/css; charset=utf-8", dashboard_css_data, dashboard_css_end},
    {"/assets/dashboard.js", "text/javascript; charset=utf-8", dashboard_js_data, dashboard_js_end},
    {"/assets/page.js", "text/javascript; charset=utf-8", page_js_data, page_js_end},
    {"/assets/charts.js", "text/javascript; charset=utf-8", charts_js_data, charts_js_end},
    {"/assets/codebooks.js", "text/javascript; charset=utf-8", codebooks_js_data, codebooks_js_end},
    {"/assets/looks.js", "text/javascript; charset=utf-8", looks_js_data, looks_js_end},
    {"/assets/pictures.js", "text/javascript; charset=utf-8", pictures_js_data, pictures_js_end},
    {"/assets/chelsea.jpg", "image/jpeg", chelsea_data, chelsea_end},
    {"/assets/coffee.jpg", "image/jpeg", coffee_data, coffee_end},
    {"/assets/uPlot.css", "text/css; charset=utf-8", uplot_css_data, uplot_css_end},
    {"/assets/uPlot.js", "text/javascript; charset=utf-8", uplot_js_data, uplot_js_end},
};

void pages_handle(void *context, struct exchange *exchange) {
  (void)context;
  size_t i = 0;
  while (strcmp(pages[i].path, exchange->route->path))
    i++;
  struct reply *reply = &exchange->reply;
  reply->status = 200;
  reply->type = pages[i].type;
  reply->fixed = pages[i].data;
  reply->fixed_size = (size_t)(pages[i].end - pages[i].data);
  reply_header(reply, "Content-Security-Policy", CONTENT_SECURITY_POLICY);
  reply_header(reply, "Referrer-Policy", "no-referrer");
  reply_body_not_modified(reply, exchange_header(exchange, "If-None-Match"));
}
