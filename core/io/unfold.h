/* How much memory what a file holds may take: shapes say more than bytes are there, where numbers
 * are repeated or the file is packed. */
#ifndef IO_UNFOLD_H
#define IO_UNFOLD_H

#include <stdint.h>

#define UNFOLD_FREE  ((uint64_t)64 << 20) /* bytes that any file may become */
#define UNFOLD_RATIO 100                  /* of those bytes to the file's, above that */

/** The most bytes that a file of so many may become. */
static inline uint64_t unfold_most(uint64_t size) {
  uint64_t most;
  if (__builtin_mul_overflow(size, (uint64_t)UNFOLD_RATIO, &most))
    return UINT64_MAX;
  return most < UNFOLD_FREE ? UNFOLD_FREE : most;
}

#endif
