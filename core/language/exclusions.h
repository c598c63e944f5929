/* Lists of words that shall not become codes: words divided by blanks, "#" to the end of the line a
 * comment, plain or gzip, UTF-8. */
#ifndef LANGUAGE_EXCLUSIONS_H
#define LANGUAGE_EXCLUSIONS_H

#include "vqct/status.h"
#include "word_table.h"

/** Adds the words of a file, in lower case. Errors: READ, DATA (a line is not UTF-8, or a word
 * longer than a prior holds), LIMIT (a line of over a mebibyte), MEMORY. */
enum vqct_status exclusions_read(const char *path, struct word_table *words,
                                 struct vqct_error *error);

#endif
