/* Of the types that a route offers the one with the highest quality wins, the first where several
 * have it; a type's quality is that of the range which names it most closely (RFC 9110, 12.5.1). */
#include "accept.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Length of the media range at text, without blanks before and after. */
static size_t range_length(const char *text) {
  size_t length = strcspn(text, ",;");
  while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
    length--;
  return length;
}

/* How closely a range names a type: 3 type and subtype, 2 type with any subtype, 1 anything, 0 no.
 */
static int range_matches(const char *range, size_t length, const char *type) {
  if (length == strlen(type) && !strncasecmp(range, type, length))
    return 3;
  size_t major = strcspn(type, "/") + 1;
  if (length == major + 1 && range[major] == '*' && !strncasecmp(range, type, major))
    return 2;
  return length == 3 && !memcmp(range, "*/*", 3) ? 1 : 0;
}

/* The q of the parameters from text to the next comma, 1 where none is given. */
static double range_quality(const char *text) {
  const char *end = text + strcspn(text, ",");
  for (const char *at = text; (at = memchr(at, ';', (size_t)(end - at))); at++) {
    const char *name = at + 1 + strspn(at + 1, " \t");
    if ((*name == 'q' || *name == 'Q') && name[1] == '=')
      return strtod(name + 2, NULL);
  }
  return 1;
}

/* The quality that an Accept header gives a type: that of the range which names it most closely. */
static double type_quality(const char *accept, const char *type) {
  int closest = 0;
  double quality = 0;
  for (const char *at = accept; *at; at += *at == ',') {
    at += strspn(at, " \t");
    int match = range_matches(at, range_length(at), type);
    if (match > closest) {
      closest = match;
      quality = range_quality(at);
    }
    at += strcspn(at, ",");
  }
  return quality;
}

int accept_choose(const char *accept, const char *const *offers, size_t count) {
  if (!accept || !*accept)
    return count ? 0 : -1;
  int chosen = -1;
  double best = 0;
  for (size_t i = 0; i < count; i++) {
    double quality = type_quality(accept, offers[i]);
    if (quality > best) {
      best = quality;
      chosen = (int)i;
    }
  }
  return chosen;
}

double coding_quality(const char *accept_encoding, const char *coding, double otherwise) {
  double quality = otherwise;
  bool named = false;
  for (const char *at = accept_encoding; *at && !named; at += *at == ',') {
    at += strspn(at, " \t");
    size_t length = range_length(at);
    named = length == strlen(coding) && !strncasecmp(at, coding, length);
    if (named || (length == 1 && *at == '*'))
      quality = range_quality(at);
    at += strcspn(at, ",");
  }
  return quality;
}

bool content_type_is(const char *content_type, const char *type) {
  size_t length = range_length(content_type);
  return length == strlen(type) && !strncasecmp(content_type, type, length);
}

bool content_type_parameter(const char *content_type, const char *name, char *value, size_t size) {
  size_t name_length = strlen(name);
  for (const char *at = content_type; (at = strchr(at, ';'));) {
    at++;
    at += strspn(at, " \t");
    if (strncasecmp(at, name, name_length) || at[name_length] != '=')
      continue;
    at += name_length + 1;
    bool quoted = *at == '"';
    size_t length = quoted ? strcspn(++at, "\"") : strcspn(at, "; \t");
    if ((quoted && at[length] != '"') || length == 0 || length >= size)
      return false;
    memcpy(value, at, length);
    value[length] = '\0';
    return true;
  }
  return false;
}
