/* Whatever bytes arrive as captions, as JSON, JSON Lines or a table: an error that names the file,
 * or captions of UTF-8 that are no longer than one may be, and stay so when references are decoded.
 */
#include <stdlib.h>
#include <string.h>

#include "captions_forms.h"
#include "entities.h"
#include "json_stream.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition)
    abort();
}

static enum vqct_status take(void *argument, const char *text, size_t length, double share,
                             struct vqct_error *error) {
  (void)error;
  demand(length > 0 && length <= CAPTION_BYTES_MAX && share >= 0 && share <= 1);
  demand(utf8_is_valid(text, length));
  char *copy = malloc(length);
  demand(copy != NULL);
  memcpy(copy, text, length);
  size_t decoded = entities_decode(copy, length);
  demand(decoded <= length && utf8_is_valid(copy, decoded));
  free(copy);
  ++*(uint64_t *)argument;
  return VQCT_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size)
    return 0;
  uint64_t taken = 0;
  struct caption_counts counts = {0};
  const struct caption_taker taker = {take, &taken};
  struct caption_reader reader = {NULL, "caption", &taker, &counts};
  struct vqct_error error;
  demand(byte_stream_open_memory("captions", data + 1, size - 1, JSON_TEXT_MAX, &reader.stream,
                                 &error) == VQCT_OK);
  enum vqct_status status = data[0] % 4 == 0   ? captions_read_json(&reader, &error)
                            : data[0] % 4 == 1 ? captions_read_json_lines(&reader, &error)
                                               : captions_read_table(&reader, data[0] & 1, &error);
  demand(status == VQCT_OK || (error.status == status && strstr(error.message, "captions")));
  demand(counts.captions == taken);
  byte_stream_close(reader.stream);
  return 0;
}
