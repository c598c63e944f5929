/* Any bytes as a tar archive: every member of it is read. */
#include <stdlib.h>

#include "shard.h"

static volatile unsigned char sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct libarchive library;
  struct shard *shard;
  struct vqct_error error;
  if (!library.read_new && libarchive_load(&library, &error) != VQCT_OK)
    abort();
  if (shard_parse("F", data, size, &library, &shard, &error) != VQCT_OK)
    return 0;
  for (size_t i = 0; i < shard_count(shard); i++) {
    struct shard_bytes bytes;
    if (shard_read(shard, i, 1 << 20, &bytes, &error) != VQCT_OK)
      continue;
    for (size_t at = 0; at < bytes.size; at++)
      sink = bytes.data[at];
    free(bytes.owned);
  }
  shard_close(shard);
  return 0;
}
