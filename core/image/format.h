/* What a file's first bytes say that it is. */
#ifndef IMAGE_FORMAT_H
#define IMAGE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "vqct/image.h"

/** The format by which a file is decoded; UNKNOWN where it is none that is read here. */
enum vqct_image_format format_of(const uint8_t *data, size_t size);

/** What people call a file that is not read here ("AVIF"); NULL where that is not known either. */
const char *format_unread(const uint8_t *data, size_t size);

#endif
