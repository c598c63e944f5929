/* Tokens as files hold them: little-endian numbers of 16 or 32 bits. */
#ifndef COMMAND_TOKEN_NUMBERS_H
#define COMMAND_TOKEN_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

/** Bytes that are used again for the next picture. Begins as zeros. */
struct token_numbers {
  uint8_t *bytes; /* owned */
  size_t size;    /* of the picture in hand */
  size_t room;
};

/** Bytes of a number. */
static inline size_t token_number_size(bool wide) {
  return wide ? sizeof(uint32_t) : sizeof(uint16_t);
}

/** Packs `count` tokens, which are in range. Errors: MEMORY. */
enum vqct_status token_numbers_pack(struct token_numbers *numbers, const uint32_t *tokens,
                                    size_t count, bool wide, struct vqct_error *error);

void token_numbers_free(struct token_numbers *numbers);

#endif
