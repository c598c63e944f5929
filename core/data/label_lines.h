/* A file of labels: a line for each picture, its name, a tab and the label. A name is a picture's
 * whole name as the list has it, or its end after a slash or colon: "cat/7.jpg" or "7.jpg" for
 * photos/cat/7.jpg.
 */
#ifndef DATA_LABEL_LINES_H
#define DATA_LABEL_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "vqct/status.h"

struct label_lines;

/** Reads the file. Errors: READ, DATA (a line without a tab, a name twice), MEMORY, naming file and
 * line; *lines is then NULL. */
enum vqct_status label_lines_open(const char *path, struct label_lines **lines,
                                  struct vqct_error *error);

/** NULL is allowed. */
void label_lines_close(struct label_lines *lines);

/** The label of a picture, NULL where no line names it, and notes that the line is used. The name
 * outlives the lines. Errors: DATA (the line names two pictures). */
enum vqct_status label_lines_find(struct label_lines *lines, const char *name, const char **label,
                                  struct vqct_error *error);

/** How many lines named no picture, and the first of them: its name and number. */
size_t label_lines_unused(const struct label_lines *lines, const char **name, uint64_t *number);

#endif
