/* A compressed archive, or standard input, as a plain file to be mapped. */
#ifndef IO_UNPACK_H
#define IO_UNPACK_H

#include "mapped_file.h"
#include "shard.h"

/** What is to be unpacked. */
struct unpack_source {
  const char *name;                 /* for messages */
  const struct mapped_file *mapped; /* NULL: standard input */
};

struct unpacked {
  struct mapped_file file;
  uint32_t checksum;        /* CRC-32 of the bytes */
  struct vqct_error damage; /* status OK, or why the bytes end early */
};

/** Whether a mapped file is compressed in a way that unpack reads. */
enum vqct_status unpack_needed(const struct unpack_source *source, const struct libarchive *library,
                               bool *needed, struct vqct_error *error);

/** Unpacks to a temporary file without a name and maps it; mapped_file_close ends it. Errors: READ,
 * DATA (nothing can be unpacked), LIMIT, WRITE, INTERRUPTED, MEMORY; the file is then closed. */
enum vqct_status unpack(const struct unpack_source *source, const struct libarchive *library,
                        const struct shard_stop *stop, struct unpacked *result,
                        struct vqct_error *error);

#endif
