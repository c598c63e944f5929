/* A contact sheet: pictures side by side, as one PNG. */
#ifndef TRAIN_SHEET_H
#define TRAIN_SHEET_H

#include "vqct/image.h"
#include "vqct/status.h"

/** Writes `count` pictures with three channels in rows of `columns`, four white pixels between
 * them, each at the left and top of a cell of the largest width and height. The file appears whole
 * or not at all. Errors: INVALID, LIMIT (larger than a PNG can be), WRITE,
 * MEMORY. */
enum vqct_status sheet_save(const char *path, const struct vqct_image *pictures, size_t count,
                            size_t columns, struct vqct_error *error);

#endif
