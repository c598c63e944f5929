/* Whatever bytes arrive as a vocabulary, as merges or as a text: an error, or tokens that exist,
 * between the start and the end token, no more than there is room for. The first byte says which of
 * the three is hostile; the others are small and sound. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpe.h"

#define ROOM ((size_t)16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool condition) {
  if (!condition)
    abort();
}

/* The characters of U+0021 to U+007E, U+00A1 to U+00AC, U+00AE to U+0143, that is all 256 bytes,
 * alone and at the end of a word, the two special tokens, and what two merges give. */
static size_t write_vocabulary(char *json, size_t capacity) {
  size_t used = (size_t)snprintf(json, capacity, "{\"<|startoftext|>\":0,\"<|endoftext|>\":1");
  unsigned number = 2;
  for (unsigned c = 0x21; c <= 0x143; c++)
    if (c <= 0x7e || (c >= 0xa1 && c != 0xad))
      for (int last = 0; last < 2; last++)
        used += (size_t)snprintf(json + used, capacity - used, ",\"\\u%04x%s\":%u", c,
                                 last ? "</w>" : "", number++);
  used += (size_t)snprintf(json + used, capacity - used, ",\"ab\":%u,\"abc</w>\":%u}", number,
                           number + 1);
  demand(used < capacity);
  return used;
}

static void check_text(const struct bpe *bpe, const char *text) {
  uint32_t tokens[ROOM + 1];
  size_t count;
  struct vqct_error error;
  tokens[ROOM] = UINT32_MAX;
  enum vqct_status status = bpe_encode(bpe, text, tokens, ROOM, &count, &error);
  demand(tokens[ROOM] == UINT32_MAX && count <= ROOM);
  if (status != VQCT_OK) {
    demand(count == 0 && error.status == status);
    return;
  }
  demand(count >= 2);
  for (size_t i = 0; i < count; i++)
    demand(tokens[i] < bpe_tokens(bpe));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char merges_text[] = "#version: 0.2\na b\nab c</w>\n";
  char vocabulary_text[16384];
  size_t vocabulary_size = write_vocabulary(vocabulary_text, sizeof vocabulary_text);
  if (!size)
    return 0;
  unsigned hostile = data[0] % 3;
  const void *rest = data + 1;
  struct byte_stream *vocabulary, *merges;
  struct vqct_error error;
  demand(byte_stream_open_memory("vocab", hostile == 0 ? rest : vocabulary_text,
                                 hostile == 0 ? size - 1 : vocabulary_size, 1024, &vocabulary,
                                 &error) == VQCT_OK);
  demand(byte_stream_open_memory("merges", hostile == 1 ? rest : merges_text,
                                 hostile == 1 ? size - 1 : sizeof merges_text - 1, 1024, &merges,
                                 &error) == VQCT_OK);
  struct bpe *bpe;
  enum vqct_status status = bpe_read(vocabulary, merges, &bpe, &error);
  demand(status == VQCT_OK || (hostile < 2 && !bpe && error.status == status));
  if (status == VQCT_OK) {
    char *text = calloc(size, 1);
    demand(text != NULL);
    if (hostile == 2)
      memcpy(text, rest, size - 1);
    check_text(bpe, hostile == 2 ? text : "abc ab it's a cab");
    free(text);
  }
  bpe_close(bpe);
  byte_stream_close(merges);
  byte_stream_close(vocabulary);
  return 0;
}
