/* Sets of tokens to read: an .npy of shape N,P,h,w or P,h,w, or any other that token_formats.h
 * lists, with its .jsonl sidecar, which also tells of a layout to be undone. */
#ifndef COMMAND_TOKEN_FILE_H
#define COMMAND_TOKEN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vqct/model.h"

struct token_file;

/** Opens a file and checks its shape against the model, and every token against its plane; and,
 * unless any_model is set, where a .jsonl beside it tells the checksum of its model, that. Errors:
 * OTHER_MODEL, READ, TOKENS (naming file, picture and fault), DATA (a damaged sidecar), INVALID
 * (suffix), MEMORY; *file is then NULL. */
enum vqct_status token_file_open(const char *path, const struct vqct_model_info *model,
                                 bool any_model, struct token_file **file,
                                 struct vqct_error *error);

/** NULL is allowed. */
void token_file_close(struct token_file *file);

/** How many pictures there are. */
size_t token_file_count(const struct token_file *file);

/** h and w of a picture's grid. */
void token_file_grid(const struct token_file *file, size_t picture, uint32_t *height,
                     uint32_t *width);

/** The picture that tokens were made of, as the sidecar has it; NULL where none tells. Valid until
 * the file is closed. */
const char *token_file_name(const struct token_file *file, size_t picture);

/** Copies a picture's tokens, P,h,w. One thread at a time. Errors: TOKENS (its file was changed
 * meanwhile), MEMORY. */
enum vqct_status token_file_read(struct token_file *file, size_t picture, uint32_t *tokens,
                                 struct vqct_error *error);

#endif
