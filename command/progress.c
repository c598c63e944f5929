/* It is drawn over itself at most ten times a second, and cleared before anything else is written
 * to the terminal. The rate counts only what this run did. */
#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH     24
#define DRAW_INTERVAL 0.1 /* seconds */

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_start(struct progress *progress, const char *label, size_t total, size_t done) {
  *progress = (struct progress){.label = label,
                                .total = total,
                                .first = done,
                                .done = done,
                                .started = seconds_now(),
                                .shown = isatty(STDERR_FILENO)};
}

static void draw(const struct progress *progress, double now) {
  char bar[BAR_WIDTH + 1];
  size_t filled = progress->total ? BAR_WIDTH * progress->done / progress->total : BAR_WIDTH;
  for (size_t i = 0; i < BAR_WIDTH; i++)
    bar[i] = i < filled ? '#' : '-';
  bar[BAR_WIDTH] = 0;
  double elapsed = now - progress->started;
  double rate = elapsed > 0 ? (double)(progress->done - progress->first) / elapsed : 0;
  fprintf(stderr, "\r%s  [%s]  %zu/%zu  %.1f/s", progress->label, bar, progress->done,
          progress->total, rate);
  if (rate > 0) {
    long left = (long)((double)(progress->total - progress->done) / rate + 0.5);
    if (left >= 3600)
      fprintf(stderr, "  %ld:%02ld:%02ld left", left / 3600, left / 60 % 60, left % 60);
    else
      fprintf(stderr, "  %ld:%02ld left", left / 60, left % 60);
  }
  fputs("\033[K", stderr); /* erases what a longer line left */
  fflush(stderr);
}

void progress_set(struct progress *progress, size_t done) {
  progress->done = done;
  if (!progress->shown)
    return;
  double now = seconds_now();
  if (now - progress->drawn < DRAW_INTERVAL && done < progress->total)
    return;
  progress->drawn = now;
  draw(progress, now);
}

void progress_clear(struct progress *progress) {
  if (!progress->shown)
    return;
  fputs("\r\033[K", stderr);
  fflush(stderr);
  progress->drawn = 0;
}
