/* Which route a method and a path lead to. */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "port.h"

struct route_match {
  const struct route *route; /* NULL: none */
  const char *method;        /* of the request, as a literal; "other" where it is not known */
  bool head;
  bool path_known;                         /* the path has a route, of whatever method */
  char allow[64];                          /* the methods of the path, for Allow */
  char parameter[ROUTE_PARAMETER_MAX + 1]; /* what stood for {id} */
};

/** Looks a request up; `path` is percent-decoded. */
void router_match(const struct route *routes, size_t count, const char *method, const char *path,
                  struct route_match *match);

#endif
