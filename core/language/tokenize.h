/* A caption to lower-case words and marks, as the part-of-speech tagger was taught them.
 *
 * A word is a run of letters, digits and the marks that hold a word together inside it: hyphen,
 * apostrophe, and between digits also comma, period, slash and colon. Abbreviations of single
 * letters ("u.s.") stay whole. English clitics ('s, n't, 're, 've, 'll, 'd, 'm) become words of
 * their own. Every other mark is a word of its own.
 */
#ifndef LANGUAGE_TOKENIZE_H
#define LANGUAGE_TOKENIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A piece of text that belongs to somebody else; not zero-terminated. */
struct word {
  const char *text;
  size_t length; /* bytes */
};

/** Splits lower-case text into at most `most` words, which point into it; returns how many. `most`
 * of length always suffices. */
size_t tokenize(const char *text, size_t length, struct word *words, size_t most);

#endif
