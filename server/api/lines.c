#include "lines.h"

#include "rates.h"
#include "render.h"

bool lines_apply(const struct request *request) {
  return request->output == FORM_NDJSON && (request->many || !request->pictures[0].failed);
}

void lines_begin(struct request *request) {
  struct exchange *exchange = request->exchange;
  request_note_model(request);
  render_headers(request);
  rates_tell(request->service, exchange, &request->reply);
  reply_move(&request->reply, &exchange->reply);
  exchange->reply.status = 200;
  exchange->reply.type = "application/x-ndjson";
  exchange_begin(exchange);
}

void lines_add(struct request *request, struct picture *picture) {
  struct text line = {0};
  size_t index = (size_t)(picture - request->pictures);
  text_print(&line, "{\"index\":%zu,", index);
  if (picture->members.failed) {
    text_print(&line, "\"error\":");
    problem_write(&line, PROBLEM_OUT_OF_MEMORY, "no memory for its part of the answer");
    picture->failed = true;
  } else {
    text_add(&line, picture->members.data, picture->members.size);
  }
  text_print(&line, "}\n");
  text_free(&picture->members);
  stream_add(&request->exchange->stream, line.data, line.size);
  text_free(&line);
}

void lines_end(struct request *request) {
  struct text line = {0};
  size_t failed = 0;
  for (size_t i = 0; i < request->count; i++)
    failed += request->pictures[i].failed;
  text_add(&line, "{", 1);
  render_model_members(&line, request->engine->info);
  text_print(&line, ",\"failed\":%zu}\n", failed);
  stream_add(&request->exchange->stream, line.data, line.size);
  text_free(&line);
  exchange_finish(request->exchange);
}
