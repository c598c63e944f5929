/* What the readers of each form of file with captions stand on. Inner to captions*.c. */
#ifndef LANGUAGE_CAPTIONS_READER_H
#define LANGUAGE_CAPTIONS_READER_H

#include "byte_stream.h"
#include "captions.h"

struct caption_reader {
  struct byte_stream *stream; /* whose lines are cut at JSON_TEXT_MAX bytes */
  const char *column;
  const struct caption_taker *taker;
  struct caption_counts *counts;
};

/** Hands one caption on, or counts it among those that are passed over. Errors: the taker's. */
enum vqct_status caption_reader_take(const struct caption_reader *reader, const char *text,
                                     size_t length, struct vqct_error *error);

#endif
