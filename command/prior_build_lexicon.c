/* vqct prior build-lexicon: WordNet to the lexicon of the tagger and the lemmatiser. */
#include <stdio.h>
#include <stdlib.h>

#include "atomic_file.h"
#include "error.h"
#include "lexicon.h"
#include "prior_commands.h"

struct settings {
  const char *output;
};

static const struct option options[] = {
    {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "FILE",
     "the lexicon to write"},
};

static const struct option_table table = {
    .command = "prior build-lexicon",
    .operands = "WORDNET",
    .summary = "Reduces WordNet's folder (such as /usr/share/wordnet) to the lexicon of the tagger "
               "and the lemmatiser.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
};

static enum vqct_status work(const void *values, const struct options_found *found,
                             struct arena *arena, struct vqct_error *error) {
  const struct settings *settings = values;
  (void)arena;
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "--output is missing");
  struct vqct_bytes block = {0};
  struct lexicon lexicon = {0};
  enum vqct_status status;
  if ((status = lexicon_build(found->operands[0], &block, error)) ||
      (status = lexicon_open(block.data, block.size, &lexicon, error)) ||
      (status = atomic_file_save(settings->output, block.data, block.size, error)))
    goto done;
  printf("%u words, %zu bytes\n", (unsigned)lexicon.words.count, block.size);
done:
  lexicon_free(&lexicon);
  free(block.data);
  return status;
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, work, error);
}

const struct command prior_build_lexicon_command = {"build-lexicon",
                                                    "make the lexicon out of WordNet", run};
