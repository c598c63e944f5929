/* A tar archive as it is written, one file after the other, by libarchive in GNU's dialect: names
 * are bytes of any length. Each file is added whole, so that an archive which is cut off behind one
 * can be gone on with by another writer. Files belong to nobody and have no time, so that the same
 * files give the same archive.
 */
#ifndef IO_TAR_WRITER_H
#define IO_TAR_WRITER_H

#include <stddef.h>

#include "libarchive.h"
#include "vqct/status.h"

struct tar_writer;

/** Takes the archive's next bytes. */
typedef enum vqct_status (*tar_sink)(void *context, const void *data, size_t size,
                                     struct vqct_error *error);

/** The library outlives the writer. Errors: MEMORY; *writer is then NULL. */
enum vqct_status tar_writer_new(const struct libarchive *library, tar_sink sink, void *context,
                                struct tar_writer **writer, struct vqct_error *error);

/** Adds a file. Errors: those of the sink, MEMORY. */
enum vqct_status tar_writer_add(struct tar_writer *writer, const char *name, const void *data,
                                size_t size, struct vqct_error *error);

/** Writes the mark of an archive's end, after which nothing is added. Errors: those of the sink. */
enum vqct_status tar_writer_end(struct tar_writer *writer, struct vqct_error *error);

/** Writes nothing more; NULL is allowed. */
void tar_writer_free(struct tar_writer *writer);

#endif
