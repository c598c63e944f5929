/* Base64 (RFC 4648) as clients write it: either alphabet, spaces and line breaks anywhere, padding
 * whole or left out. What is written has the alphabet of section 4, padding and no breaks. */
#ifndef HTTP_BASE64_H
#define HTTP_BASE64_H

#include "text.h"

/** Adds the base64 form of size bytes. */
void base64_add(struct text *text, const void *data, size_t size);

/** Bytes that `size` characters stand for, at most. */
size_t base64_decoded_size(size_t size);

/** Decodes into data, which has room for base64_decoded_size(size); false where a character, the
 * number of digits or the padding is wrong. */
bool base64_decode(const char *text, size_t size, unsigned char *data, size_t *decoded);

#endif
