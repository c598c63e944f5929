/* Content types: what a client sends and what it wants back. */
#ifndef HTTP_ACCEPT_H
#define HTTP_ACCEPT_H

#include <stdbool.h>
#include <stddef.h>

/** Chooses among offers (types in lower case, the server's favourite first) after an Accept header
 * (RFC 9110, section 12.5.1): the highest quality wins, among equals the earlier offer. NULL or ""
 * accepts anything. Returns the index, or -1 where nothing offered is acceptable. */
int accept_choose(const char *accept, const char *const *offers, size_t count);

/** The quality that an Accept-Encoding header gives a content coding (in lower case), by its name
 * or by *; `otherwise` where it names neither. */
double coding_quality(const char *accept_encoding, const char *coding, double otherwise);

/** Whether a Content-Type names this type (in lower case), whatever its parameters. */
bool content_type_is(const char *content_type, const char *type);

/** Copies a parameter of a Content-Type, unquoted; false where it is missing or longer than size -
 * 1 bytes. */
bool content_type_parameter(const char *content_type, const char *name, char *value, size_t size);

#endif
