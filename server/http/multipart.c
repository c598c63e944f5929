/* The delimiter is searched with its line break, so that a part ends where its bytes do, and what
 * only looks like a boundary within them stays data. */
#define _GNU_SOURCE /* memmem */
#include "multipart.h"

#include <string.h>
#include <strings.h>

#define PART_HEADERS_MAX ((size_t)8 << 10) /* bytes */

bool multipart_begin(struct multipart *multipart, const char *boundary, const char *body,
                     size_t size) {
  size_t length = strlen(boundary);
  if (length == 0 || length > MULTIPART_BOUNDARY_MAX)
    return false;
  memcpy(multipart->delimiter, "\r\n--", 4);
  memcpy(multipart->delimiter + 4, boundary, length + 1);
  multipart->delimiter_size = length + 4;
  multipart->end = body + size;
  /* The first delimiter has no line break before it where nothing comes before. */
  if (size >= length + 2 && !memcmp(body, multipart->delimiter + 2, length + 2)) {
    multipart->at = body + length + 2;
    return true;
  }
  const char *first =
      size ? memmem(body, size, multipart->delimiter, multipart->delimiter_size) : NULL;
  if (!first)
    return false;
  multipart->at = first + multipart->delimiter_size;
  return true;
}

/* Copies the value of `name="value"` within a Content-Disposition line. */
static void copy_attribute(const char *line, size_t size, const char *name, char *value,
                           size_t room) {
  size_t name_size = strlen(name);
  for (const char *at = line; (at = memchr(at, ';', (size_t)(line + size - at)));) {
    at++;
    while (at < line + size && (*at == ' ' || *at == '\t'))
      at++;
    size_t left = (size_t)(line + size - at);
    if (left < name_size + 2 || strncasecmp(at, name, name_size) || at[name_size] != '=' ||
        at[name_size + 1] != '"')
      continue;
    at += name_size + 2;
    const char *close = memchr(at, '"', (size_t)(line + size - at));
    size_t length = close ? (size_t)(close - at) : 0;
    length = length < room ? length : room - 1;
    memcpy(value, at, length);
    value[length] = '\0';
    return;
  }
}

/* Copies a header's value without the blanks before it. */
static void copy_value(const char *text, size_t size, char *value, size_t room) {
  for (; size && (*text == ' ' || *text == '\t'); size--)
    text++;
  size_t length = size < room ? size : room - 1;
  memcpy(value, text, length);
  value[length] = '\0';
}

static bool read_headers(struct multipart *multipart, struct multipart_part *part) {
  static const char disposition[] = "Content-Disposition:", type[] = "Content-Type:";
  size_t left = (size_t)(multipart->end - multipart->at);
  size_t window = left < PART_HEADERS_MAX ? left : PART_HEADERS_MAX;
  const char *close = memmem(multipart->at, window, "\r\n\r\n", 4);
  if (!close)
    return false;
  for (const char *line = multipart->at; line < close;) {
    line += 2; /* the line break that ends the line before */
    const char *end = memmem(line, (size_t)(close + 2 - line), "\r\n", 2);
    size_t size = (size_t)((end ? end : close) - line);
    if (size >= sizeof disposition - 1 && !strncasecmp(line, disposition, sizeof disposition - 1)) {
      copy_attribute(line, size, "name", part->name, sizeof part->name);
      copy_attribute(line, size, "filename", part->filename, sizeof part->filename);
    }
    if (size >= sizeof type - 1 && !strncasecmp(line, type, sizeof type - 1))
      copy_value(line + sizeof type - 1, size - (sizeof type - 1), part->type, sizeof part->type);
    line += size;
  }
  multipart->at = close + 4;
  return true;
}

enum multipart_step multipart_next(struct multipart *multipart, struct multipart_part *part) {
  *part = (struct multipart_part){0};
  size_t left = (size_t)(multipart->end - multipart->at);
  if (left >= 2 && !memcmp(multipart->at, "--", 2))
    return MULTIPART_END;
  for (; left && (*multipart->at == ' ' || *multipart->at == '\t'); left--)
    multipart->at++; /* padding that transport may add (RFC 2046, section 5.1.1) */
  if (left < 4 || memcmp(multipart->at, "\r\n", 2) || !read_headers(multipart, part))
    return MULTIPART_BROKEN;
  const char *close = memmem(multipart->at, (size_t)(multipart->end - multipart->at),
                             multipart->delimiter, multipart->delimiter_size);
  if (!close)
    return MULTIPART_BROKEN;
  part->data = multipart->at;
  part->size = (size_t)(close - multipart->at);
  multipart->at = close + multipart->delimiter_size;
  return MULTIPART_PART;
}
