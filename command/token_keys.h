/* Keys of pictures in webdataset: the names up to the first dot of their last part (beside.h),
 * within an archive those of its members; what leads out of a folder at the beginning ("/", "./",
 * "../") is left out. */
#ifndef COMMAND_TOKEN_KEYS_H
#define COMMAND_TOKEN_KEYS_H

#include "pictures.h"

/** KEY+ending, from malloc; NULL where memory fails. */
char *token_key(const struct pictures *pictures, size_t index, const char *ending);

/** Refuses a list on which two pictures have one key. Errors: DATA, naming both; MEMORY. */
enum vqct_status token_keys_check(const struct pictures *pictures, struct vqct_error *error);

#endif
