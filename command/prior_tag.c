/* vqct prior tag: captions with their parts of speech, to look at. */
#include <stdio.h>

#include "captions.h"
#include "error.h"
#include "prior_commands.h"
#include "tagger_scores.h"
#include "vocabulary.h"

struct settings {
  const char *column, *tagger, *lexicon;
  struct option_list score;
};

static const struct option options[] = {
    {"score", 's', OPTION_LIST, offsetof(struct settings, score), NULL, 0, 0, NULL, "FILE",
     "tagged text to measure the tagger on"},
    CAPTIONS_COLUMN_OPTION(struct settings, column),
    {"tagger", 0, OPTION_TEXT, offsetof(struct settings, tagger), NULL, 0, 0, NULL, "FILE",
     "part-of-speech tagger, instead of the one inside the program"},
    {"lexicon", 0, OPTION_TEXT, offsetof(struct settings, lexicon), NULL, 0, 0, NULL, "FILE",
     "lexicon, instead of the one inside the program"},
};

static const struct option_table table = {
    .command = "prior tag",
    .operands = "[CAPTIONS...]",
    .summary = "Prints captions with a tag behind each word, as `prior build` sees them.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_max = -1,
};

struct tagging {
  const struct language *language;
  struct vocabulary_scratch scratch;
};

static enum vqct_status print_tags(void *argument, const char *text, size_t length, double share,
                                   struct vqct_error *error) {
  struct tagging *tagging = argument;
  struct vocabulary_scratch *scratch = &tagging->scratch;
  size_t count;
  (void)share;
  if (!vocabulary_tag(&tagging->language->tagger, &tagging->language->lexicon, text, length,
                      scratch, &count))
    return error_set(error, VQCT_MEMORY, "no memory to tag");
  for (size_t i = 0; i < count; i++)
    printf("%s%.*s/%s", i ? " " : "", (int)scratch->words[i].length, scratch->words[i].text,
           tagging->language->tagger.tag[scratch->tags[i]]);
  putchar('\n');
  return VQCT_OK;
}

static enum vqct_status work(const void *values, const struct options_found *found,
                             struct arena *arena, struct vqct_error *error) {
  const struct settings *settings = values;
  struct language language;
  struct tagging tagging = {.language = &language};
  struct caption_taker taker = {print_tags, &tagging};
  struct caption_counts counts = {0};
  (void)arena;
  enum vqct_status status = language_open(settings->lexicon, settings->tagger, &language, error);
  if (status != VQCT_OK)
    return status;
  status = tagger_print_scores(&language, &settings->score, error);
  for (int i = 0; i < found->operand_count && status == VQCT_OK; i++)
    status = captions_read(found->operands[i], settings->column, &taker, &counts, error);
  vocabulary_scratch_free(&tagging.scratch);
  language_close(&language);
  return status;
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, work, error);
}

const struct command prior_tag_command = {"tag", "print captions with their parts of speech", run};
