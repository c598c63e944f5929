/* Captions out of files, plain or gzip. The form is told by the name and the first characters:
 *
 *   text         one caption a line
 *   table        NAME.csv (RFC 4180) or NAME.tsv (text/tab-separated-values): a line of columns'
 *                names, then rows; the captions stand in one column
 *   JSON Lines   an object a line; the captions stand under one key, as a string or a list of them
 *   JSON         a list of such objects; COCO's annotations, {"annotations": [{"caption": "..."}]};
 *                Karpathy's splits, {"images": [{"sentences": [{"raw": "..."}]}]}
 */
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
  uint64_t missing;  /* null, or an object or row without one */
};

/** Who takes the captions. Each is well-formed UTF-8 of 1 to CAPTION_BYTES_MAX bytes, valid only
 * during the call; share tells how much of the file has been read, 0 to 1. Anything but VQCT_OK
 * ends the reading. */
struct caption_taker {
  enum vqct_status (*take)(void *argument, const char *text, size_t length, double share,
                           struct vqct_error *error);
  void *argument;
};

/** Reads all captions of a file and adds to counts. column: of a table, and the key of JSON's
 * objects, such as "caption". Errors: READ, DATA (a table without that column, JSON that is damaged
 * or has no captions), LIMIT (of JSON), MEMORY, and what taker->take returns. */
enum vqct_status captions_read(const char *path, const char *column,
                               const struct caption_taker *taker, struct caption_counts *counts,
                               struct vqct_error *error);

#endif
