#include "token_numbers.h"

#include <stdlib.h>

#include "error.h"
#include "size.h"

enum vqct_status token_numbers_pack(struct token_numbers *numbers, const uint32_t *tokens,
                                    size_t count, bool wide, struct vqct_error *error) {
  size_t size, width = token_number_size(wide);
  if (!size_multiply(count, width, &size))
    return error_set(error, VQCT_MEMORY, "no memory to write tokens");
  if (size > numbers->room) {
    uint8_t *bytes = realloc(numbers->bytes, size);
    if (!bytes)
      return error_set(error, VQCT_MEMORY, "no memory to write tokens");
    numbers->bytes = bytes;
    numbers->room = size;
  }
  numbers->size = size;
  for (size_t i = 0, at = 0; i < count; i++)
    for (size_t byte = 0; byte < width; byte++)
      numbers->bytes[at++] = (uint8_t)(tokens[i] >> 8 * byte);
  return VQCT_OK;
}

void token_numbers_free(struct token_numbers *numbers) {
  free(numbers->bytes);
  *numbers = (struct token_numbers){0};
}
