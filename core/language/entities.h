/* HTML's character references in text that comes from web pages: "&amp;", "&#39;", "&#x2019;". */
#ifndef LANGUAGE_ENTITIES_H
#define LANGUAGE_ENTITIES_H

#include <stddef.h>

/** Puts characters in place of their references in well-formed UTF-8, in place, and returns the new
 * length, which is never larger. Known are the 252 names of HTML 4 and numbers; what was escaped
 * twice ("&amp;quot;") is undone twice. A reference to something else, or to a control character,
 * becomes a blank: it is no word. */
size_t entities_decode(char *text, size_t length);

#endif
