/* libarchive, loaded when an archive is first read or written: it brings libraries of 40 MB
 * along, which a service that needs none shall not load. */
#ifndef IO_LIBARCHIVE_H
#define IO_LIBARCHIVE_H

#include <archive.h>
#include <archive_entry.h>

#include "vqct/status.h"

/* X(NAME) for each function archive_NAME that is used. */
#define LIBARCHIVE_FUNCTIONS(X)                                                                    \
  X(read_new)                                                                                      \
  X(read_free)                                                                                     \
  X(read_support_format_tar)                                                                       \
  X(read_support_format_raw)                                                                       \
  X(read_support_filter_gzip)                                                                      \
  X(read_support_filter_bzip2)                                                                     \
  X(read_support_filter_xz)                                                                        \
  X(read_support_filter_zstd)                                                                      \
  X(read_support_filter_lz4)                                                                       \
  X(read_open_memory)                                                                              \
  X(read_open)                                                                                     \
  X(read_next_header)                                                                              \
  X(read_data_block)                                                                               \
  X(read_header_position)                                                                          \
  X(filter_bytes)                                                                                  \
  X(filter_code)                                                                                   \
  X(error_string)                                                                                  \
  X(set_error)                                                                                     \
  X(entry_pathname)                                                                                \
  X(entry_hardlink)                                                                                \
  X(entry_filetype)                                                                                \
  X(entry_size)                                                                                    \
  X(write_new)                                                                                     \
  X(write_free)                                                                                    \
  X(write_set_format_gnutar)                                                                       \
  X(write_set_bytes_per_block)                                                                     \
  X(write_open)                                                                                    \
  X(write_header)                                                                                  \
  X(write_data)                                                                                    \
  X(write_finish_entry)                                                                            \
  X(write_close)                                                                                   \
  X(entry_new)                                                                                     \
  X(entry_free)                                                                                    \
  X(entry_clear)                                                                                   \
  X(entry_set_pathname)                                                                            \
  X(entry_set_filetype)                                                                            \
  X(entry_set_perm)                                                                                \
  X(entry_set_size)

struct libarchive {
#define LIBARCHIVE_MEMBER(name) __typeof__(archive_##name) *name;
  LIBARCHIVE_FUNCTIONS(LIBARCHIVE_MEMBER)
#undef LIBARCHIVE_MEMBER
};

/** Finds the functions, loading the library where this process has not yet; it stays loaded. Any
 * thread may call. Errors: READ, naming the library. */
enum vqct_status libarchive_load(struct libarchive *library, struct vqct_error *error);

#endif
