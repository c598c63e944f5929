/* A file without a name, for what is too large for memory. */
#ifndef IO_TEMPORARY_FILE_H
#define IO_TEMPORARY_FILE_H

#include "vqct/status.h"

/** Opens an empty file in TMPDIR (/var/tmp where that is not set) for reading and writing, which is
 * gone when *descriptor, the caller's, is closed. `what` says in messages what cannot be done
 * without. Errors: WRITE, MEMORY; *descriptor is then -1. */
enum vqct_status temporary_file_open(const char *what, int *descriptor, struct vqct_error *error);

#endif
