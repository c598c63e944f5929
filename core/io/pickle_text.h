/* Texts as the older protocols of pickles write them. Each function writes at most twice the bytes
 * that it reads and is false where they are no such text. */
#ifndef IO_PICKLE_TEXT_H
#define IO_PICKLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef bool pickle_text(const char *from, size_t length, char *to, size_t *size);

/** Protocol 0's texts (Python's "raw-unicode-escape": Latin-1, \uXXXX and \UXXXXXXXX) as UTF-8. */
pickle_text pickle_text_raw;

/** Python 2's bytes as it prints them: \\, \', \", \n, \r, \t and \xHH stand for one byte. */
pickle_text pickle_text_printed;

/** Bytes that came as UTF-8, one character a byte, as Python 3 gives them to protocols 0 to 2. */
pickle_text pickle_text_latin1;

#endif
