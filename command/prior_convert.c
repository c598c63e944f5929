/* vqct prior convert: words of a released VQCT as a prior. */
#include "prior_convert.h"

#include <stdio.h>

#include "error.h"
#include "prior_commands.h"

struct settings {
  const char *output;
};

static const struct option options[] = {
    {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "FILE",
     "where the prior goes"},
};

static const struct option_table table = {
    .command = "prior convert",
    .operands = "PICKLE|JSON",
    .summary = "Turns the words, vectors and edges of a released VQCT into a prior.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = 1,
};

static enum vqct_status convert(const void *values, const struct options_found *found,
                                struct arena *arena, struct vqct_error *error) {
  (void)arena;
  const struct settings *settings = values;
  struct prior prior;
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "give --output FILE");
  enum vqct_status status = prior_convert(found->operands[0], &prior, error);
  if (status != VQCT_OK)
    return status;
  status = prior_write(settings->output, &prior, error);
  if (status == VQCT_OK)
    printf("%s: %zu adjectives, %zu nouns, %zu numbers each, %zu edges\n", settings->output,
           prior.adjectives, prior.nouns, prior.dimension, prior.edge_count);
  prior_free(&prior);
  return status;
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, convert, error);
}

const struct command prior_convert_command = {
    "convert", "words of a released VQCT, from a pickle or JSON, as a prior", run};
