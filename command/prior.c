/* `vqct prior`: what the codebooks are transferred from. Finds the subcommand and runs it. */
#include "prior_commands.h"

#include <stdio.h>
#include <string.h>

#include "error.h"

static const struct command *const commands[] = {
    &prior_build_command,         &prior_convert_command,
    &prior_embed_command,         &prior_show_command,
    &prior_tag_command,           &prior_train_tagger_command,
    &prior_build_lexicon_command, NULL,
};

static void print_help(void) {
  puts("usage: vqct prior COMMAND [ARGUMENT...]\n\n"
       "Words, their graph and their embeddings, from which codebooks are transferred.\n");
  for (size_t i = 0; commands[i]; i++)
    printf("  %-14s %s\n", commands[i]->name, commands[i]->summary);
  puts("\n`vqct prior COMMAND --help` tells more.");
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  if (argc < 1)
    return error_set(error, VQCT_INVALID, "a command is missing; `vqct prior --help` lists them");
  if (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
    print_help();
    return VQCT_OK;
  }
  for (size_t i = 0; commands[i]; i++)
    if (!strcmp(commands[i]->name, argv[0]))
      return commands[i]->run(argc - 1, argv + 1, error);
  return error_set(error, VQCT_INVALID, "'%.80s' is not a command; `vqct prior --help` lists them",
                   argv[0]);
}

const struct command prior_command = {"prior", "words, their graph and their embeddings", run};
