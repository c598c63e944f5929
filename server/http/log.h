/* The log: one JSON object a line on standard error.
 *
 *   struct text line = {0};
 *   log_begin(&line, LOG_INFO, "request");
 *   log_text(&line, "route", "/v1/encode");
 *   log_number(&line, "status", 200);
 *   log_end(log, &line, LOG_INFO);
 *
 * Bodies, keys and query strings are never logged. Used on the loop thread. */
#ifndef HTTP_LOG_H
#define HTTP_LOG_H

#include "text.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_OFF };

struct log {
  enum log_level level; /* the least that is written */
  int file;             /* descriptor */
};

/** Opens a line with the time (UTC, milliseconds), the level and what happened. */
void log_begin(struct text *line, enum log_level level, const char *event);

void log_text(struct text *line, const char *key, const char *value);
void log_number(struct text *line, const char *key, double value);

/** Closes the line, writes it where the level asks for it, and frees it. */
void log_end(const struct log *log, struct text *line, enum log_level level);

/** A line with one formatted message. */
void log_message(const struct log *log, enum log_level level, const char *event, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));

#endif
