/* How CLIP's tokenizer cuts a text into words before byte pairs are merged. */
#ifndef LANGUAGE_BPE_SPLIT_H
#define LANGUAGE_BPE_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

/** The next word of a lower-case text of well-formed UTF-8, from *at on: an English clitic ('s 't
 * 're 've 'm 'll 'd), a run of letters, one number, or a run of other marks; white space lies
 * between words. Moves *at behind it. False at the end. Letters and numbers are told exactly for
 * Latin script up to U+024F; beyond that, blocks of punctuation, symbols, combining marks and
 * digits are known and everything else counts as a letter. Source: OpenAI's simple_tokenizer.py. */
bool bpe_split(const char *text, size_t length, size_t *at, const char **word, size_t *word_length);

#endif
