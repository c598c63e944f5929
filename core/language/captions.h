/* Captions out of files: text with one caption a line (plain or gzip), or COCO's annotation JSON
 * (an object with "annotations": [{"caption": "..."}, ...]), told apart by the first character. */
#ifndef LANGUAGE_CAPTIONS_H
#define LANGUAGE_CAPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

#define CAPTION_BYTES_MAX ((size_t)16384) /* a longer one is passed over */

/** What was read. Captions that are passed over are counted here and cause no error. */
struct caption_counts {
  uint64_t captions; /* given to the caller */
  uint64_t empty;    /* nothing but blanks */
  uint64_t not_utf8;
  uint64_t too_long; /* more than CAPTION_BYTES_MAX bytes */
};

/** Who takes the captions. Each is well-formed UTF-8 of 1 to CAPTION_BYTES_MAX bytes, valid only
 * during the call; share tells how much of the file has been read, 0 to 1. Anything but VQCT_OK
 * ends the reading. */
struct caption_taker {
  enum vqct_status (*take)(void *argument, const char *text, size_t length, double share,
                           struct vqct_error *error);
  void *argument;
};

/** Reads all captions of a file and adds to counts. Errors: READ, DATA (JSON that is damaged or has
 * no annotations), MEMORY, and what taker->take returns. */
enum vqct_status captions_read(const char *path, const struct caption_taker *taker,
                               struct caption_counts *counts, struct vqct_error *error);

#endif
