/* SHA-256 of a file's bytes, by OpenSSL's libcrypto. */
#ifndef MODEL_CHECKSUM_H
#define MODEL_CHECKSUM_H

#include <stddef.h>

#include "vqct/status.h"

#define CHECKSUM_SIZE 65 /* 64 hexadecimal digits and the terminating zero */

/** Errors: MEMORY. */
enum vqct_status checksum_bytes(const void *data, size_t size, char text[CHECKSUM_SIZE],
                                struct vqct_error *error);

#endif
