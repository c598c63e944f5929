/* The reader of each form of file with captions, but plain text. Inner to captions*.c. */
#ifndef LANGUAGE_CAPTIONS_FORMS_H
#define LANGUAGE_CAPTIONS_FORMS_H

#include <stdbool.h>

#include "captions_reader.h"

/** Errors: those of captions_read. */
enum vqct_status captions_read_json(const struct caption_reader *reader, struct vqct_error *error);
enum vqct_status captions_read_json_lines(const struct caption_reader *reader,
                                          struct vqct_error *error);

/** Fields are divided by commas and may stand in quotes, or are divided by tabs. */
enum vqct_status captions_read_table(const struct caption_reader *reader, bool tabs,
                                     struct vqct_error *error);

/** Whether a line of the file `name` is a whole JSON object that is neither COCO's nor Karpathy's.
 * Errors: MEMORY. */
enum vqct_status captions_is_json_line(const char *line, size_t length, const char *name, bool *is,
                                       struct vqct_error *error);

#endif
