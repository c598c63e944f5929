/* The sidecar of a set of tokens, NAME.jsonl, read again: what it says of the set, and of each
 * picture in turn.
 *
 *   token_sidecar_open(&sidecar, path, suffix, error)
 *   token_sidecar_describe(&sidecar, model, any_model, &set, error)
 *   while (token_sidecar_next(&sidecar, &set, &line, error) == VQCT_OK && line.record)
 *     use(line);
 *   token_sidecar_close(&sidecar);
 */
#ifndef COMMAND_TOKEN_SIDECAR_H
#define COMMAND_TOKEN_SIDECAR_H

#include "byte_stream.h"
#include "token_reading.h"
#include "vqct/model.h"

#define TOKEN_GRID_MAX 32768 /* tokens a side of a picture that is read */

struct token_sidecar {
  struct byte_stream *stream;
  struct text_line text; /* the last that was read */
  json_t *record;        /* what it says */
  size_t rows;           /* pictures with tokens so far */
  bool totals_due;       /* the last line with totals is still to come */
};

/** Opens the sidecar of a path that ends in `suffix`. The record is to be closed all the same.
 * Errors: READ, MEMORY. */
enum vqct_status token_sidecar_open(struct token_sidecar *sidecar, const char *path,
                                    const char *suffix, struct vqct_error *error);

/** Reads the first line into the members of the set behind its path; *buckets tells whether the set
 * has files of several sizes. Errors: DATA (naming the line), TOKENS (other planes than the
 * model's), OTHER_MODEL unless any_model is set, and those of the stream. */
enum vqct_status token_sidecar_describe(struct token_sidecar *sidecar,
                                        const struct vqct_model_info *model, bool any_model,
                                        struct token_set *set, bool *buckets,
                                        struct vqct_error *error);

/** Refuses a NAME.jsonl that is there already and is not of a set in the format of this name, which
 * a set at the path would take it from. Errors: WRITE, naming both, READ, MEMORY. */
enum vqct_status token_sidecar_check(const char *path, const char *suffix, const char *format,
                                     struct vqct_error *error);

/** The next picture that has tokens; its record, NULL at the end, is valid until the next call.
 * Errors: DATA (naming the line; or the totals of the last line count other pictures, or are
 * missing although the first line tells a format, as it did not always), and those of the stream.
 */
enum vqct_status token_sidecar_next(struct token_sidecar *sidecar, const struct token_set *set,
                                    struct token_line *line, struct vqct_error *error);

/** May be called again. */
void token_sidecar_close(struct token_sidecar *sidecar);

#endif
