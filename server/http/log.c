/* Lines are whole in memory before any byte is written, and go out only as far as poll says that it
 * will not wait; a line that is begun is finished before the next. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEPT_MAX       ((size_t)256 << 10) /* bytes */
#define CLOSE_PATIENCE 1000                /* milliseconds */
#define RETRY_PERIOD   100                 /* milliseconds between tries to write what is kept */

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

/* Files are left as they are: another description of one would begin to write at its start. */
static int open_again(int file) {
  struct stat what;
  char path[32];
  if (fstat(file, &what) || !(S_ISFIFO(what.st_mode) || S_ISCHR(what.st_mode)))
    return -1;
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void log_open(struct log *log, int file, enum log_level level, enum log_level access) {
  int own = open_again(file);
  *log = (struct log){
      .level = level, .access = access, .file = own < 0 ? file : own, .owned = own >= 0};
}

/* Writes as much as goes without waiting. Where the description is not the log's own, poll says for
 * a pipe that there is room for PIPE_BUF bytes, so pieces of that size do not block. */
static size_t write_some(int file, const char *data, size_t size, int patience) {
  size_t done = 0;
  while (done < size) {
    struct pollfd ready = {.fd = file, .events = POLLOUT};
    if (poll(&ready, 1, patience) <= 0)
      return done;
    size_t piece = size - done < PIPE_BUF ? size - done : PIPE_BUF;
    ssize_t written = write(file, data + done, piece);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0 && errno == EAGAIN)
      return done;
    if (written < 0)
      return size; /* nobody reads the log any more: serving goes on without it */
    done += (size_t)written;
  }
  return done;
}

static void flush(struct log *log, int patience) {
  size_t done = write_some(log->file, log->kept.data, log->kept.size, patience);
  if (!done)
    return;
  memmove(log->kept.data, log->kept.data + done, log->kept.size - done);
  log->kept.size -= done;
}

static void say_lost(struct log *log) {
  uint64_t lost = log->lost;
  if (!lost || log->kept.size > KEPT_MAX / 2)
    return;
  struct text line = {0};
  log->lost = 0;
  log_begin(&line, LOG_WARNING, "log");
  log_text(&line, "message", "lines were lost, as the log was not read fast enough");
  log_number(&line, "lines", (double)lost);
  log_end(log, &line, LOG_WARNING);
}

static void on_retry(uv_timer_t *timer) {
  struct log *log = (struct log *)((char *)timer - offsetof(struct log, retry));
  flush(log, 0);
  say_lost(log);
  if (!log->kept.size && !log->lost)
    uv_timer_stop(timer);
}

static void retry_later(struct log *log) {
  uv_timer_t *retry = &log->retry;
  bool rests = retry->loop && !uv_is_active((uv_handle_t *)retry);
  if (rests && !uv_is_closing((uv_handle_t *)retry) && (log->kept.size || log->lost))
    uv_timer_start(retry, on_retry, RETRY_PERIOD, RETRY_PERIOD);
}

void log_follow(struct log *log, uv_loop_t *loop) {
  uv_timer_init(loop, &log->retry);
  uv_unref((uv_handle_t *)&log->retry);
  retry_later(log);
}

void log_leave(struct log *log) {
  uv_close((uv_handle_t *)&log->retry, NULL);
}

void log_close(struct log *log) {
  flush(log, 0);
  say_lost(log);
  flush(log, CLOSE_PATIENCE);
  if (log->owned)
    close(log->file);
  text_free(&log->kept);
}

void log_write(struct log *log, struct text *line) {
  text_add(line, "}\n", 2);
  if (!line->failed) {
    flush(log, 0);
    bool fits = log->kept.size + line->size <= KEPT_MAX && text_reserve(&log->kept, line->size);
    if (fits)
      text_add(&log->kept, line->data, line->size);
    log->lost += !fits;
    log->lost_total += !fits;
    log->kept.failed = false; /* the next line may fit */
    flush(log, 0);
    retry_later(log);
  }
  text_free(line);
}

void log_end(struct log *log, struct text *line, enum log_level level) {
  if (level >= log->level)
    log_write(log, line);
  else
    text_free(line);
}

void log_message(struct log *log, enum log_level level, const char *event, const char *format,
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
