/* How often each code was picked: since the start, and in sliding windows.
 *
 * A window of 1 minute, 10 minutes or 1 hour is a ring of slots; a slot that grew older than the
 * window is cleared before it is used again, so a window covers between 9/10 (11/12) of its length
 * and its length. Used on the loop thread only. */
#ifndef METRICS_USAGE_H
#define METRICS_USAGE_H

#include <stddef.h>
#include <stdint.h>

struct usage;

enum usage_window { USAGE_PROCESS, USAGE_MINUTE, USAGE_TEN_MINUTES, USAGE_HOUR, USAGE_WINDOWS };

/** "process", "1m", "10m" or "1h". */
const char *usage_window_name(enum usage_window window);

/** Counters for a codebook of `codes` rows, all 0; NULL where memory fails. */
struct usage *usage_new(size_t codes);
void usage_free(struct usage *usage);

/** Counts tokens, each below the number of codes, at a moment of a clock that never goes back, in
 * nanoseconds. */
void usage_record(struct usage *usage, const uint32_t *tokens, size_t count, uint64_t now);

/** Writes how often each code was picked in the window that ends now into counts (one number a
 * code). */
void usage_counts(struct usage *usage, enum usage_window window, uint64_t now, uint64_t *counts);

#endif
