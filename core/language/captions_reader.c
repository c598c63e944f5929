#include "captions_reader.h"

#include <stdbool.h>

#include "utf8.h"

static bool is_blank(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] > ' ')
      return false;
  return true;
}

enum vqct_status caption_reader_take(const struct caption_reader *reader, const char *text,
                                     size_t length, struct vqct_error *error) {
  struct caption_counts *counts = reader->counts;
  if (length > CAPTION_BYTES_MAX) {
    counts->too_long++;
  } else if (!utf8_is_valid(text, length)) {
    counts->not_utf8++;
  } else if (is_blank(text, length)) {
    counts->empty++;
  } else {
    counts->captions++;
    return reader->taker->take(reader->taker->argument, text, length,
                               byte_stream_progress(reader->stream), error);
  }
  return VQCT_OK;
}
