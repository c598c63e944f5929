/* Writing tokens: files of one format (token_format.h) and a sidecar with a line for every picture.
 *
 * The sidecar NAME.jsonl begins with a line that describes the run and goes on with one for each
 * picture in their order; the last line has totals:
 *
 *   {"image": "a.jpg", "row": 0, "offset": 0, "grid": [16, 16]}
 *   {"image": "b.jpg", "error": "b.jpg: the file is truncated"}
 *   {"pictures": 1, "tokens": 512, "failed": 1, "passed_over": {"webp": 3}}
 *
 * row counts what has tokens. Where pictures have several views each is a row, with its
 * number "view", its "box" in the picture (left, top, right, bottom, in pixels) and "mirrored".
 * "label" and "class" follow where there are labels; members between it and grid are the format's,
 * such as the offset in bytes from the first number. A name that is not UTF-8 has \\xHH in place of
 * its other bytes, and stands once more as "image_hex". All files grow as NAME.EXT.part, and a
 * later run with the same description goes on where an interrupted one stopped; they get their
 * names when all is done.
 */
#ifndef COMMAND_TOKEN_WRITER_H
#define COMMAND_TOKEN_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pictures.h"
#include "token_format.h"
#include "vqct/status.h"

struct token_writer;

/** How a run begins. */
struct token_start {
  size_t done;    /* pictures that an interrupted run already wrote, failed ones counted */
  unsigned views; /* and views of the next one */
  bool anew;      /* an interrupted run with another description was there, and is given up */
};

/** What the files hold so far, earlier runs counted. */
struct token_totals {
  size_t rows; /* what has tokens: pictures, or views of them */
  size_t pictures, failed;
  uint64_t tokens;
};

/** Opens the files. The output and its description, the sidecar's first line as JSON without a
 * newline, are the caller's; the output's path outlives the writer. On standard output there is
 * neither: the description is NULL. Errors: WRITE (also where
 * another process writes the same, or the sidecar is of another format), READ, MEMORY; *writer is
 * then NULL. */
enum vqct_status token_writer_open(const struct token_format *format,
                                   const struct token_output *output, const char *description,
                                   struct token_writer **writer, struct token_start *start,
                                   struct vqct_error *error);

/** Adds a picture. Errors: WRITE, MEMORY. */
enum vqct_status token_writer_add(struct token_writer *writer, const struct token_picture *picture,
                                  struct vqct_error *error);

/** Adds a picture that failed. Errors: WRITE, MEMORY. */
enum vqct_status token_writer_fail(struct token_writer *writer, const char *image,
                                   const char *message, struct vqct_error *error);

/** The file that tells how far the run has come, NAME.jsonl.part, until it is committed. */
const char *token_writer_part(const struct token_writer *writer);

struct token_totals token_writer_totals(const struct token_writer *writer);

/** Adds the closing line, with what was passed over of the pictures, flushes all files and gives
 * them their names. Errors: WRITE, MEMORY. */
enum vqct_status token_writer_commit(struct token_writer *writer, const struct pictures *pictures,
                                     struct vqct_error *error);

/** Closes. What was not committed is kept for a later run, or removed. NULL is allowed. */
void token_writer_close(struct token_writer *writer, bool keep);

#endif
