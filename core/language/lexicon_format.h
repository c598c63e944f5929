/* The numbers of the lexicon's form that its reader and its writer share. */
#ifndef LANGUAGE_LEXICON_FORMAT_H
#define LANGUAGE_LEXICON_FORMAT_H

#define LEXICON_MAGIC    "VQCTLEX1"
#define LEXICON_HEADER   ((size_t)16)  /* bytes before the first entry */
#define LEXICON_WORD_MAX ((size_t)255) /* bytes of a word */

#endif
