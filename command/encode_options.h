/* What `vqct encode` is asked for: its options, and what they come to with a model. */
#ifndef COMMAND_ENCODE_OPTIONS_H
#define COMMAND_ENCODE_OPTIONS_H

#include "feed.h"
#include "options.h"
#include "token_format.h"
#include "view_options.h"

struct encode_settings {
  const char *output, *shard, *labels;
  struct preparation preparation;
  struct view_options views;
  int64_t batch, threads;
  int format; /* index of --format's choices */
  int number; /* index of --numbers' choices */
  int order;  /* index of --layout's choices */
  int64_t offset, begin, end, row_end;
  int64_t shard_size;
  bool quiet;
};

/** The table that fills them. */
extern const struct option_table encode_options;

struct encode_plan {
  const struct token_format *format;
  bool stream; /* to standard output */
  struct token_layout layout;
  bool wide; /* uint32, else uint16 */
  struct views views;
  bool viewed;          /* views are asked for; else a picture is one, as it is prepared */
  unsigned view_count;  /* of each picture, at least 1 */
  size_t shard, shards; /* pictures number shard, shard + shards, ... of the list */
  size_t shard_size;    /* pictures a file; 0: all in one */
  unsigned threads;
  size_t ahead; /* pictures decoded ahead, at least 1 */
};

/** What needs no model, which the rest of the plan follows. Errors: INVALID. */
enum vqct_status encode_plan_begin(const struct encode_settings *settings, struct encode_plan *plan,
                                   struct vqct_error *error);

/** The rest, where it is possible with the model; the preparation is checked. Errors: INVALID,
 * naming the option. */
enum vqct_status encode_plan_complete(const struct encode_settings *settings,
                                      const struct preparation *preparation,
                                      const struct vqct_model_info *model, struct encode_plan *plan,
                                      struct vqct_error *error);

#endif
