/* vqct prior train-tagger: tagged text to a part-of-speech tagger. */
#include <stdio.h>
#include <stdlib.h>

#include "atomic_file.h"
#include "error.h"
#include "pos_train.h"
#include "prior_commands.h"
#include "progress.h"
#include "tagger_scores.h"

struct settings {
  const char *output, *lexicon;
  struct option_list score;
  int64_t rounds, least_count, least_weight, seed;
};

static const struct option options[] = {
    {"rounds", 'r', OPTION_INTEGER, offsetof(struct settings, rounds), "6", 1, 1000, NULL, "NUMBER",
     "how often the corpus is gone through"},
    {"least-count", 0, OPTION_INTEGER, offsetof(struct settings, least_count), "1", 1, 1e6, NULL,
     "COUNT", "features seen less often are left out"},
    {"least-weight", 0, OPTION_INTEGER, offsetof(struct settings, least_weight), "1", 1, 127, NULL,
     "WEIGHT", "weights nearer to 0, on a scale to 127, are left out"},
    {"seed", 0, OPTION_INTEGER, offsetof(struct settings, seed), "1", 0, 1e15, NULL, "NUMBER",
     "of the order of sentences"},
    {"lexicon", 0, OPTION_TEXT, offsetof(struct settings, lexicon), NULL, 0, 0, NULL, "FILE",
     "lexicon, instead of the one inside the program"},
    {"score", 's', OPTION_LIST, offsetof(struct settings, score), NULL, 0, 0, NULL, "FILE",
     "tagged text to measure the tagger on"},
    {"output", 'o', OPTION_TEXT, offsetof(struct settings, output), NULL, 0, 0, NULL, "FILE",
     "the tagger to write"},
};

static const struct option_table table = {
    .command = "prior train-tagger",
    .operands = "TAGGED...",
    .summary = "Trains the part-of-speech tagger on files of words and Penn tags (word TAB tag, "
               "sentences divided by blank lines, plain or gzip); a file given twice counts twice.",
    .options = options,
    .count = sizeof options / sizeof *options,
    .operands_min = 1,
    .operands_max = -1,
};

static void show_round(void *argument, int round, size_t wrong, size_t words) {
  struct progress *progress = argument;
  progress_clear(progress);
  printf("round %d: %.2f%% of tags right\n", round, 100.0 - 100.0 * (double)wrong / (double)words);
  fflush(stdout);
  progress_set(progress, (size_t)round);
}

/* Trains, and leaves the tagger in `language`; the caller frees block->data. */
static enum vqct_status train(const struct settings *settings, const struct pos_corpus *corpus,
                              struct language *language, struct vqct_bytes *block,
                              struct vqct_error *error) {
  struct progress progress;
  struct pos_training training = {.rounds = (int)settings->rounds,
                                  .least_count = (int)settings->least_count,
                                  .least_weight = (int)settings->least_weight,
                                  .seed = (uint64_t)settings->seed,
                                  .progress = show_round,
                                  .argument = &progress};
  progress_start(&progress, "rounds", (size_t)training.rounds, 0);
  enum vqct_status status = pos_train(corpus, &language->lexicon, &training, block, error);
  progress_clear(&progress);
  if (status != VQCT_OK)
    return status;
  return pos_model_open(block->data, block->size, &language->tagger, error);
}

static enum vqct_status work(const void *values, const struct options_found *found,
                             struct arena *arena, struct vqct_error *error) {
  const struct settings *settings = values;
  struct language language = {0};
  struct pos_corpus corpus = {0};
  struct vqct_bytes block = {0};
  enum vqct_status status;
  (void)arena;
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "--output is missing");
  if ((status = language_lexicon(settings->lexicon, &language.lexicon, error)) ||
      (status = pos_corpus_read((const char *const *)found->operands, (size_t)found->operand_count,
                                &corpus, error)) ||
      (status = train(settings, &corpus, &language, &block, error)) ||
      (status = tagger_print_scores(&language, &settings->score, error)) ||
      (status = atomic_file_save(settings->output, block.data, block.size, error)))
    goto done;
  printf("%zu sentences, %zu words, %zu tags; %zu bytes\n", corpus.sentences, corpus.words,
         corpus.tags, block.size);
done:
  free(block.data);
  pos_corpus_free(&corpus);
  language_close(&language);
  return status;
}

static enum vqct_status run(int argc, char **argv, struct vqct_error *error) {
  struct settings settings = {0};
  return command_run(&table, argc, argv, &settings, work, error);
}

const struct command prior_train_tagger_command = {"train-tagger",
                                                   "train the part-of-speech tagger", run};
