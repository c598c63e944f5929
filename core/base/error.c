/* Messages quote names from files and requests, so what could move a terminal's cursor or begin
 * a line of a log is replaced. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifndef VQCT_VERSION
#error "VQCT_VERSION comes from the Makefile"
#endif

static const struct {
  const char *name;
  int exit_status;
  const char *meaning;
} statuses[] = {
#define STATUS_ROW(name, exit_status, meaning) {#name, exit_status, meaning},
    VQCT_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

static unsigned status_index(enum vqct_status status) {
  unsigned index = (unsigned)status;
  return index < sizeof statuses / sizeof *statuses ? index : VQCT_INTERNAL;
}

const char *vqct_status_name(enum vqct_status status) {
  return statuses[status_index(status)].name;
}

const char *vqct_status_meaning(enum vqct_status status) {
  return statuses[status_index(status)].meaning;
}

int vqct_status_exit(enum vqct_status status) {
  return statuses[status_index(status)].exit_status;
}

const char *vqct_version(void) {
  return VQCT_VERSION;
}

/* Control characters are those of ASCII and U+0080 to U+009F, which UTF-8 writes as C2 80 to C2 9F.
 */
static void clean_text(char *text) {
  for (unsigned char *c = (unsigned char *)text; *c; c++)
    if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)) {
      if (*c == 0xc2)
        c[1] = '?';
      *c = '?';
    }
}

enum vqct_status error_set(struct vqct_error *error, enum vqct_status status, const char *format,
                           ...) {
  if (!error)
    return status;
  va_list args;
  va_start(args, format);
  vsnprintf(error->message, sizeof error->message, format, args);
  va_end(args);
  clean_text(error->message);
  error->status = status;
  return status;
}

enum vqct_status error_prefix(struct vqct_error *error, const char *format, ...) {
  if (!error)
    return VQCT_INTERNAL;
  char text[2 * sizeof error->message];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(text, sizeof error->message, format, args);
  va_end(args);
  size_t used = length < 0 ? 0 : strlen(text);
  memcpy(text + used, ": ", 2);
  memcpy(text + used + 2, error->message, sizeof error->message - 2);
  memcpy(error->message, text, sizeof error->message - 1);
  error->message[sizeof error->message - 1] = '\0';
  clean_text(error->message);
  return error->status;
}
