#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

void log_begin(struct text *line, enum log_level level, const char *event) {
  static const char *const names[] = {"debug", "info", "warning", "error", "off"};
  struct timespec now;
  struct tm parts;
  char date[32];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &parts);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  text_print(line, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"event\":\"%s\"", date,
             now.tv_nsec / 1000000, names[level], event);
}

void log_text(struct text *line, const char *key, const char *value) {
  text_print(line, ",\"%s\":", key);
  text_add_json(line, value);
}

void log_number(struct text *line, const char *key, double value) {
  text_print(line, ",\"%s\":%.12g", key, value);
}

void log_end(const struct log *log, struct text *line, enum log_level level) {
  text_add(line, "}\n", 2);
  const char *at = line->data;
  size_t left = level >= log->level && !line->failed ? line->size : 0;
  while (left) {
    ssize_t written = write(log->file, at, left);
    if (written < 0 && errno != EINTR)
      break; /* nobody reads the log: serving goes on without it */
    if (written > 0) {
      at += written;
      left -= (size_t)written;
    }
  }
  text_free(line);
}

void log_message(const struct log *log, enum log_level level, const char *event, const char *format,
                 ...) {
  char message[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  struct text line = {0};
  log_begin(&line, level, event);
  log_text(&line, "message", message);
  log_end(log, &line, level);
}
