/* Values are counted before jansson builds a tree of them, since that takes many times the bytes of
 * a short value: a bound on the body alone would not bound what it becomes. */
#include "body.h"

#include <stdbool.h>

/* At least as many values as a JSON text holds: each but the first follows a comma, a bracket or a
 * colon outside strings. */
static size_t count_values(const char *text, size_t size) {
  size_t count = 1;
  bool quoted = false;
  for (size_t i = 0; i < size; i++) {
    if (quoted && text[i] == '\\')
      i++;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted && (text[i] == ',' || text[i] == '[' || text[i] == '{' || text[i] == ':'))
      count++;
  }
  return count;
}

json_t *body_json(struct request *request, size_t values) {
  return body_json_part(request, request->body.size, values);
}

json_t *body_json_part(struct request *request, size_t size, size_t values) {
  const char *data = request->body.data;
  if (!size || count_values(data, size) > values) {
    request_fail(request, PROBLEM_BAD_BODY,
                 size ? "the JSON holds more values than a request of this kind needs"
                      : "the body is empty");
    return NULL;
  }
  json_error_t fault;
  json_t *root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &fault);
  if (!root && json_error_code(&fault) == json_error_out_of_memory)
    request_fail(request, PROBLEM_OUT_OF_MEMORY, "no memory to read the JSON");
  else if (!root)
    request_fail(request, PROBLEM_BAD_BODY, "JSON, line %d, column %d: %s", fault.line,
                 fault.column, fault.text);
  else if (!json_is_object(root))
    request_fail(request, PROBLEM_BAD_BODY, "the JSON is not an object");
  if (!request->refused)
    return root;
  json_decref(root);
  return NULL;
}
