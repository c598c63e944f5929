/* The subcommands of `vqct prior`, each in a file of its own, listed in prior.c. */
#ifndef COMMAND_PRIOR_COMMANDS_H
#define COMMAND_PRIOR_COMMANDS_H

#include "command.h"

extern const struct command prior_build_command;
extern const struct command prior_embed_command;
extern const struct command prior_show_command;
extern const struct command prior_tag_command;
extern const struct command prior_train_tagger_command;
extern const struct command prior_build_lexicon_command;

#endif
