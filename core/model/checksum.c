#include "checksum.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "error.h"

enum vqct_status checksum_bytes(const void *data, size_t size, char text[CHECKSUM_SIZE],
                                struct vqct_error *error) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (EVP_Digest(data, size, digest, &length, EVP_sha256(), NULL) != 1)
    return error_set(error, VQCT_MEMORY, "memory is exhausted computing a checksum");
  for (unsigned i = 0; i < length; i++)
    snprintf(text + 2 * i, 3, "%02x", digest[i]);
  return VQCT_OK;
}
