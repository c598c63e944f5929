/* The sidecar's first line: what the tokens are, and all that a run must share with an interrupted
 * one to go on with it, down to the list of its pictures, their sizes, times of change and labels.
 */
#ifndef COMMAND_TOKEN_DESCRIPTION_H
#define COMMAND_TOKEN_DESCRIPTION_H

#include "feed.h"
#include "labels.h"
#include "token_layout.h"

struct token_description {
  const char *format; /* its name, as --format has it */
  const struct vqct_model_info *model;
  const struct preparation *preparation;
  const struct pictures *pictures;
  const struct labels *labels; /* NULL: none */
  const struct views *views;   /* NULL: a picture is one, as it is prepared */
  const struct token_layout *layout;
  bool wide; /* uint32, else uint16 */
  size_t shard, shards;
  size_t shard_size; /* 0: the format has no shards */
};

/** The line as JSON without a newline, which the caller frees. Errors: LIMIT (more labels than a
 * line of the sidecar can have), MEMORY; *line is then NULL. */
enum vqct_status token_description_line(const struct token_description *description, char **line,
                                        struct vqct_error *error);

#endif
