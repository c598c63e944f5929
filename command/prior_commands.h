/* The subcommands of `vqct prior`, each in a file of its own, listed in prior.c. */
#ifndef COMMAND_PRIOR_COMMANDS_H
#define COMMAND_PRIOR_COMMANDS_H

#include "command.h"

/* Of every subcommand that reads captions. */
#define CAPTIONS_COLUMN_OPTION(type, field)                                                        \
  {                                                                                                \
    "column", 0, OPTION_TEXT, offsetof(type, field), "caption", 0, 0, NULL, "NAME",                \
        "column of a .csv or .tsv, or key of JSON's objects, that holds the captions"              \
  }

extern const struct command prior_build_command;
extern const struct command prior_convert_command;
extern const struct command prior_embed_command;
extern const struct command prior_show_command;
extern const struct command prior_tag_command;
extern const struct command prior_train_tagger_command;
extern const struct command prior_build_lexicon_command;

#endif
