/* libarchive reads names in the encoding of the locale: while a file is added that of the thread is
 * C, where a name is the bytes that it has. An error of the sink is kept and reported in place of
 * libarchive's. */
#define _GNU_SOURCE /* uselocale */

#include "tar_writer.h"

#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/types.h>

#include "error.h"

struct tar_writer {
  const struct libarchive *library;
  struct archive *archive;
  struct archive_entry *entry;
  locale_t plain; /* names are taken as the bytes that they are */
  tar_sink sink;
  void *context;
  struct vqct_error fault; /* of the sink; status OK: none */
  bool over;               /* nothing more is written */
};

/* libarchive is told of no fault: an archive that is given up, by a failed write or by
 * archive_write_fail, keeps memory that it never frees. */
static la_ssize_t write_bytes(struct archive *archive, void *context, const void *data,
                              size_t size) {
  struct tar_writer *writer = context;
  (void)archive;
  if (!writer->over && writer->sink(writer->context, data, size, &writer->fault) != VQCT_OK)
    writer->over = true;
  return (la_ssize_t)size;
}

enum vqct_status tar_writer_new(const struct libarchive *library, tar_sink sink, void *context,
                                struct tar_writer **result, struct vqct_error *error) {
  *result = NULL;
  struct tar_writer *writer = calloc(1, sizeof *writer);
  if (!writer)
    return error_set(error, VQCT_MEMORY, "no memory to write an archive");
  *writer = (struct tar_writer){.library = library, .sink = sink, .context = context};
  writer->fault.status = VQCT_OK;
  writer->plain = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
  writer->archive = library->write_new();
  writer->entry = library->entry_new();
  if (!writer->plain || !writer->archive || !writer->entry ||
      library->write_set_format_gnutar(writer->archive) != ARCHIVE_OK ||
      library->write_set_bytes_per_block(writer->archive, 0) != ARCHIVE_OK ||
      library->write_open(writer->archive, writer, NULL, write_bytes, NULL) != ARCHIVE_OK) {
    tar_writer_free(writer);
    return error_set(error, VQCT_MEMORY, "no memory to write an archive");
  }
  *result = writer;
  return VQCT_OK;
}

static enum vqct_status outcome(const struct tar_writer *writer, bool fine,
                                struct vqct_error *error) {
  if (writer->fault.status != VQCT_OK)
    return error_set(error, writer->fault.status, "%s", writer->fault.message);
  if (fine)
    return VQCT_OK;
  const char *text = writer->library->error_string(writer->archive);
  return error_set(error, VQCT_MEMORY, "an archive cannot be written: %s", text ? text : "?");
}

static bool add(const struct tar_writer *writer, const char *name, const void *data, size_t size) {
  const struct libarchive *library = writer->library;
  library->entry_clear(writer->entry);
  library->entry_set_pathname(writer->entry, name);
  library->entry_set_filetype(writer->entry, AE_IFREG);
  library->entry_set_perm(writer->entry, 0644);
  library->entry_set_size(writer->entry, (la_int64_t)size);
  return library->write_header(writer->archive, writer->entry) == ARCHIVE_OK &&
         library->write_data(writer->archive, data, size) == (la_ssize_t)size &&
         library->write_finish_entry(writer->archive) == ARCHIVE_OK;
}

enum vqct_status tar_writer_add(struct tar_writer *writer, const char *name, const void *data,
                                size_t size, struct vqct_error *error) {
  locale_t before = uselocale(writer->plain);
  bool fine = add(writer, name, data, size);
  uselocale(before);
  return outcome(writer, fine, error);
}

enum vqct_status tar_writer_end(struct tar_writer *writer, struct vqct_error *error) {
  return outcome(writer, writer->library->write_close(writer->archive) == ARCHIVE_OK, error);
}

void tar_writer_free(struct tar_writer *writer) {
  if (!writer)
    return;
  if (writer->archive) {
    writer->over = true; /* it would be ended else */
    writer->library->write_free(writer->archive);
  }
  if (writer->entry)
    writer->library->entry_free(writer->entry);
  if (writer->plain)
    freelocale(writer->plain);
  free(writer);
}
