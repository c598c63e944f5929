/* Reading a file from front to back, plain or gzip alike, in blocks or in lines.
 *
 *   struct byte_stream *stream;
 *   struct text_line line;
 *   if (byte_stream_open("captions.txt.gz", 1 << 20, &stream, &error) == VQCT_OK) {
 *     while (byte_stream_line(stream, &line, &error) == VQCT_OK && line.text)
 *       use(line.text, line.length);
 *     byte_stream_close(stream);
 *   }
 *
 * A byte order mark of UTF-8 at the beginning is left out.
 *
 * Memory is bounded by the line limit, whatever the file holds. One thread uses a stream.
 */
#ifndef IO_BYTE_STREAM_H
#define IO_BYTE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

struct byte_stream;

/** One line, without its newline or carriage return. Valid until the stream is read again. */
struct text_line {
  const char *text; /* NULL at the end of the file; may hold any bytes, NUL too; NUL-terminated */
  size_t length;    /* bytes */
  uint64_t number;  /* from 1 */
  bool cut;         /* longer than the limit: only the first line_limit bytes are here */
};

/** Opens a file; one that starts like gzip is decompressed. line_limit: the most bytes of a line
 * that byte_stream_line gives, at least 1. Errors: READ, MEMORY; *stream is then NULL. */
enum vqct_status byte_stream_open(const char *path, size_t line_limit, struct byte_stream **stream,
                                  struct vqct_error *error);

/** A stream over `size` bytes in memory, which stay the caller's and must outlive it. `name` stands
 * for the path in messages. Errors: MEMORY. */
enum vqct_status byte_stream_open_memory(const char *name, const void *bytes, size_t size,
                                         size_t line_limit, struct byte_stream **stream,
                                         struct vqct_error *error);

/** Closes the file; NULL is allowed. */
void byte_stream_close(struct byte_stream *stream);

/** The path that messages name. Belongs to the stream. */
const char *byte_stream_name(const struct byte_stream *stream);

/** The next bytes, as many as are at hand; *size 0 at the end of the file. They stay valid until
 * the stream is read again. Errors: READ (also for a truncated or damaged gzip file). */
enum vqct_status byte_stream_block(struct byte_stream *stream, const char **bytes, size_t *size,
                                   struct vqct_error *error);

/** The next line. Errors: READ, DATA (the file begins as UTF-16 does), MEMORY, with the file and
 * line named. */
enum vqct_status byte_stream_line(struct byte_stream *stream, struct text_line *line,
                                  struct vqct_error *error);

/** How much of the file as it lies on the disk has been read, 0 to 1, for a progress bar. */
double byte_stream_progress(const struct byte_stream *stream);

#endif
