/* CLIP's tokenizer: a text to the numbers of byte-pair tokens.
 *
 *   struct bpe *bpe;
 *   uint32_t tokens[77];
 *   size_t count;
 *   if (bpe_open("clip/vocab.json", "clip/merges.txt", &bpe, &error) == VQCT_OK) {
 *     bpe_encode(bpe, "a photo of a cat", tokens, 77, &count, &error);
 *     bpe_close(bpe);
 *   }
 *
 * Each word's UTF-8 bytes become one symbol each, the last with the mark "</w>"; then the pair of
 * neighbours that comes first in merges.txt is joined, again and again. A tokenizer is read-only
 * once it is made, so any number of threads may use one.
 */
#ifndef LANGUAGE_BPE_H
#define LANGUAGE_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "byte_stream.h"

#define BPE_TEXT_MAX   ((size_t)1024)    /* bytes of a text to encode */
#define BPE_TOKENS_MAX ((size_t)1 << 20) /* of a vocabulary */

struct bpe;

/** Reads a vocabulary (a JSON object from token to number) and its merges (one pair a line, behind
 * a "#version" line). Errors, with file and line: READ, DATA (also where a byte, the start or end
 * token or a part of a merge is missing from the vocabulary), LIMIT, MEMORY; *bpe is then NULL. */
enum vqct_status bpe_open(const char *vocabulary_path, const char *merges_path, struct bpe **bpe,
                          struct vqct_error *error);

/** The same from streams made with a line limit of at least 1,024 bytes. */
enum vqct_status bpe_read(struct byte_stream *vocabulary, struct byte_stream *merges,
                          struct bpe **bpe, struct vqct_error *error);

/** Frees it; NULL is allowed. */
void bpe_close(struct bpe *bpe);

/** How many tokens there are: every number is below that. */
size_t bpe_tokens(const struct bpe *bpe);

/** Puts text (UTF-8) into lower case and encodes it between the start and the end token. tokens:
 * room for `most` numbers; *count of them are written. Errors: INVALID (not UTF-8), LIMIT (a text
 * of over BPE_TEXT_MAX bytes, or of more than `most` tokens). */
enum vqct_status bpe_encode(const struct bpe *bpe, const char *text, uint32_t *tokens, size_t most,
                            size_t *count, struct vqct_error *error);

#endif
