#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"

static const struct {
  unsigned status;
  const char *type, *title;
} problems[] = {
#define PROBLEM_ROW(name, status, type, title) {status, type, title},
    PROBLEM_MAP(PROBLEM_ROW)
#undef PROBLEM_ROW
};

void reply_header(struct reply *reply, const char *name, const char *format, ...) {
  char value[1024];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(value, sizeof value, format, args);
  va_end(args);
  if (length < 0 || (size_t)length >= sizeof value || reply->header_count == REPLY_HEADERS_MAX)
    return;
  struct reply_header *header = &reply->headers[reply->header_count];
  header->name = name;
  header->value = strdup(value);
  reply->header_count += header->value != NULL;
}

bool reply_has_header(const struct reply *reply, const char *name) {
  for (size_t i = 0; i < reply->header_count; i++)
    if (!strcmp(reply->headers[i].name, name))
      return true;
  return false;
}

unsigned problem_write(struct text *text, enum problem problem, const char *detail) {
  text_print(text, "{\"type\":\"" PROBLEM_TYPE_PREFIX "%s\",\"title\":\"%s\",\"status\":%u",
             problems[problem].type, problems[problem].title, problems[problem].status);
  if (*detail) {
    text_print(text, ",\"detail\":");
    text_add_json(text, detail);
  }
  text_add(text, "}", 1);
  return problems[problem].status;
}

static void write_error_member(struct text *text, const char *title, const char *detail) {
  char sentence[1280];
  snprintf(sentence, sizeof sentence, "%s%s%s", title, *detail ? ": " : "", detail);
  text_print(text, "{\"error\":");
  text_add_json(text, sentence);
  text_add(text, "}", 1);
}

void reply_problem(struct reply *reply, enum problem problem, const char *format, ...) {
  char detail[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(detail, sizeof detail, format, args);
  va_end(args);
  text_free(&reply->body);
  reply_drop_fixed(reply);
  reply->coding = NULL;
  reply->status = problems[problem].status;
  reply->problem = problems[problem].type;
  reply->type = reply->error_member ? "application/json" : "application/problem+json";
  if (reply->error_member)
    write_error_member(&reply->body, problems[problem].title, detail);
  else
    problem_write(&reply->body, problem, detail);
  text_add(&reply->body, "\n", 1);
  if (!reply_has_header(reply, "Cache-Control"))
    reply_header(reply, "Cache-Control", "no-store");
  if (reply->status == 503)
    reply_header(reply, "Retry-After", "1");
}

/* A weak tag, as the answer may be compressed or not; If-None-Match compares weakly (RFC 9110,
 * section 13.1.2), so a tag of the list counts with W/ and without. */
bool reply_not_modified(struct reply *reply, const char *tag, const char *known) {
  char quoted[72];
  snprintf(quoted, sizeof quoted, "\"%s\"", tag);
  reply_header(reply, "ETag", "W/%s", quoted);
  if (!known || (strcmp(known, "*") != 0 && !strstr(known, quoted)))
    return false;
  text_free(&reply->body);
  reply_drop_fixed(reply);
  reply->type = NULL;
  reply->status = 304;
  reply->varies = true;
  return true;
}

bool reply_body_not_modified(struct reply *reply, const char *known) {
  char tag[17];
  const char *data = reply->fixed ? reply->fixed : reply->body.data;
  size_t size = reply->fixed ? reply->fixed_size : reply->body.size;
  snprintf(tag, sizeof tag, "%016llx", (unsigned long long)hash_text(data, size));
  reply_header(reply, "Cache-Control", "no-cache");
  return reply_not_modified(reply, tag, known);
}

void reply_move(struct reply *from, struct reply *to) {
  to->status = from->status;
  to->type = from->type;
  to->problem = from->problem;
  to->coding = from->coding;
  text_free(&to->body);
  to->body = from->body;
  from->body = (struct text){0};
  for (size_t i = 0; i < from->header_count; i++)
    if (to->header_count < REPLY_HEADERS_MAX)
      to->headers[to->header_count++] = from->headers[i];
    else
      free(from->headers[i].value);
  from->header_count = 0;
}

void reply_drop_fixed(struct reply *reply) {
  if (reply->release)
    reply->release(reply->held);
  reply->release = NULL;
  reply->fixed = NULL;
}

void reply_free(struct reply *reply) {
  text_free(&reply->body);
  reply_drop_fixed(reply);
  for (size_t i = 0; i < reply->header_count; i++)
    free(reply->headers[i].value);
  *reply = (struct reply){0};
}
