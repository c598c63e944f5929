/* The log: one JSON object a line on standard error.
 *
 *   struct text line = {0};
 *   log_begin(&line, LOG_INFO, "request");
 *   log_text(&line, "route", "/v1/encode");
 *   log_number(&line, "status", 200);
 *   log_end(log, &line, LOG_INFO);
 *
 * Bodies, keys and query strings are never logged. Used on the loop thread, which never waits for
 * who reads the log: what cannot be written at once is kept up to a bound, what does not fit is
 * counted, and said when there is room again. */
#ifndef HTTP_LOG_H
#define HTTP_LOG_H

#include <stdint.h>

#include <uv.h>

#include "text.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_OFF };

struct log {
  enum log_level level;  /* the least that is written */
  enum log_level access; /* the same of the lines about requests */
  int file;              /* descriptor */
  bool owned;            /* the descriptor is closed with it */
  struct text kept; /* whole lines that are not written yet, but perhaps for the first's begin */
  uint64_t lost;    /* lines, since that was last said */
  uint64_t lost_total;
  uv_timer_t retry; /* where it has a loop: tries again what is kept, and rests otherwise */
};

/** Begins to write to a descriptor. For a pipe or a terminal that is by a description of the log's
 * own where the system gives one, which does not wait whoever else writes there. */
void log_open(struct log *log, int file, enum log_level level, enum log_level access);

/** Has the loop write what is kept, as soon as it can be written without waiting; and ends that.
 * Before and after that is tried with the next line only. */
void log_follow(struct log *log, uv_loop_t *loop);
void log_leave(struct log *log);

/** Writes what is kept, for which it waits a second at most, and frees what is left. */
void log_close(struct log *log);

/** Opens a line with the time (UTC, milliseconds), the level and what happened. */
void log_begin(struct text *line, enum log_level level, const char *event);

void log_text(struct text *line, const char *key, const char *value);
void log_number(struct text *line, const char *key, double value);

/** Closes the line, writes it where the level asks for it, and frees it; or whatever the level. */
void log_end(struct log *log, struct text *line, enum log_level level);
void log_write(struct log *log, struct text *line);

/** A line with one formatted message. */
void log_message(struct log *log, enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
