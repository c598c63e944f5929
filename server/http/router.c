/* Routes are tried in order: they are a few dozen, and comparing them costs less than parsing the
 * headers. A path that is known under other methods gathers them for Allow. */
#include "router.h"

#include <stdio.h>
#include <string.h>

#define PLACEHOLDER "{id}"

static bool path_matches(const char *pattern, const char *path,
                         char parameter[ROUTE_PARAMETER_MAX + 1]) {
  parameter[0] = '\0';
  const char *hole = strstr(pattern, PLACEHOLDER);
  if (!hole)
    return !strcmp(pattern, path);
  size_t before = (size_t)(hole - pattern);
  if (strncmp(pattern, path, before))
    return false;
  const char *value = path + before;
  size_t length = strcspn(value, "/");
  if (!length || length > ROUTE_PARAMETER_MAX || strcmp(value + length, hole + strlen(PLACEHOLDER)))
    return false;
  memcpy(parameter, value, length);
  parameter[length] = '\0';
  return true;
}

static const char *method_literal(const char *method) {
  static const char *const methods[] = {"GET",    "HEAD",  "POST",    "PUT",
                                        "DELETE", "PATCH", "OPTIONS", "other"};
  size_t i = 0;
  while (i + 1 < sizeof methods / sizeof *methods && strcmp(methods[i], method))
    i++;
  return methods[i];
}

static void allow_add(struct route_match *match, const char *methods) {
  size_t used = strlen(match->allow);
  snprintf(match->allow + used, sizeof match->allow - used, "%s%s", used ? ", " : "", methods);
}

void router_match(const struct route *routes, size_t count, const char *method, const char *path,
                  struct route_match *match) {
  *match = (struct route_match){.method = method_literal(method)};
  match->head = !strcmp(method, "HEAD");
  for (size_t i = 0; i < count; i++) {
    char parameter[ROUTE_PARAMETER_MAX + 1];
    if (!path_matches(routes[i].path, path, parameter))
      continue;
    bool get = !strcmp(routes[i].method, "GET");
    match->path_known = true;
    allow_add(match, get ? "GET, HEAD" : routes[i].method);
    if (!strcmp(routes[i].method, method) || (get && match->head)) {
      match->route = &routes[i];
      memcpy(match->parameter, parameter, sizeof parameter);
    }
  }
  if (match->path_known)
    allow_add(match, "OPTIONS");
}
