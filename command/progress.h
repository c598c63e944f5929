/* A progress bar on standard error, drawn only where that is a terminal:
 *
 *   encode  [#########----------]  1234/5678  12.3/s  6:01 left
 */
#ifndef COMMAND_PROGRESS_H
#define COMMAND_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct progress {
  const char *label;
  size_t total, first, done;
  double started, drawn; /* seconds */
  bool shown;            /* standard error is a terminal */
};

/** Begins a bar of `total` steps of which `done` were made by an earlier run. */
void progress_start(struct progress *progress, const char *label, size_t total, size_t done);

/** Draws the bar anew, at most ten times a second, with `done` steps made. */
void progress_set(struct progress *progress, size_t done);

/** Removes the bar, so that other text can be printed; progress_set draws it again. */
void progress_clear(struct progress *progress);

/** Seconds of a clock that never goes backwards. */
double seconds_now(void);

#endif
