/* vqct prior build-lexicon, train-tagger and tag: what the part-of-speech tagger is made of, and a
 * look at what it does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic_file.h"
#include "byte_stream.h"
#include "captions.h"
#include "error.h"
#include "language.h"
#include "pos_train.h"
#include "prior_commands.h"
#include "progress.h"
#include "vocabulary.h"

/* ---- build-lexicon ---- */

struct lexicon_settings {
  const char *output;
};

static const struct option lexicon_options[] = {
    {"output", 'o', OPTION_TEXT, offsetof(struct lexicon_settings, output), NULL, 0, 0, NULL,
     "FILE", "the lexicon to write"},
};

static const struct option_table lexicon_table = {
    .command = "prior build-lexicon",
    .operands = "WORDNET",
    .summary = "Reduces WordNet's folder (such as /usr/share/wordnet) to the lexicon of the tagger "
               "and the lemmatiser.",
    .options = lexicon_options,
    .count = sizeof lexicon_options / sizeof *lexicon_options,
    .operands_min = 1,
    .operands_max = 1,
};

static enum vqct_status build_lexicon(const void *values, const struct options_found *found,
                                      struct arena *arena, struct vqct_error *error) {
  const struct lexicon_settings *settings = values;
  (void)arena;
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "--output is missing");
  struct vqct_bytes block;
  struct lexicon lexicon = {0};
  enum vqct_status status = lexicon_build(found->operands[0], &block, error);
  if (status == VQCT_OK)
    status = lexicon_open(block.data, block.size, &lexicon, error);
  if (status == VQCT_OK)
    status = atomic_file_save(settings->output, block.data, block.size, error);
  if (status == VQCT_OK)
    printf("%u words, %zu bytes\n", (unsigned)lexicon.words.count, block.size);
  lexicon_free(&lexicon);
  free(block.data);
  return status;
}

static enum vqct_status run_build_lexicon(int argc, char **argv, struct vqct_error *error) {
  struct lexicon_settings settings;
  return command_run(&lexicon_table, argc, argv, &settings, build_lexicon, error);
}

const struct command prior_build_lexicon_command = {
    "build-lexicon", "make the lexicon out of WordNet", run_build_lexicon};

/* ---- scores ---- */

static enum vqct_status print_score(const struct language *language, const char *path,
                                    struct vqct_error *error) {
  struct pos_corpus corpus;
  struct pos_score score;
  enum vqct_status status = pos_corpus_read(&path, 1, &corpus, error);
  if (status != VQCT_OK)
    return status;
  double started = seconds_now();
  status = pos_evaluate(&language->tagger, &language->lexicon, &corpus, &score, error);
  double seconds = seconds_now() - started;
  if (status == VQCT_OK)
    printf("%s: %zu words, %.2f%% of tags right, F1 of adjectives %.4f, of nouns %.4f, "
           "%.2f M words/s\n",
           path, score.words, 100.0 * (double)score.correct / (double)score.words,
           pos_score_f1(&score, POS_ADJECTIVE), pos_score_f1(&score, POS_NOUN),
           (double)score.words / seconds * 1e-6);
  pos_corpus_free(&corpus);
  return status;
}

static enum vqct_status print_scores(const struct language *language,
                                     const struct option_list *files, struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < files->count && status == VQCT_OK; i++)
    status = print_score(language, files->items[i], error);
  return status;
}

/* ---- train-tagger ---- */

struct train_settings {
  const char *output, *lexicon;
  struct option_list score;
  int64_t rounds, least_count, least_weight, seed;
};

static const struct option train_options[] = {
    {"rounds", 'r', OPTION_INTEGER, offsetof(struct train_settings, rounds), "6", 1, 1000, NULL,
     "NUMBER", "how often the corpus is gone through"},
    {"least-count", 0, OPTION_INTEGER, offsetof(struct train_settings, least_count), "1", 1, 1e6,
     NULL, "COUNT", "features seen less often are left out"},
    {"least-weight", 0, OPTION_INTEGER, offsetof(struct train_settings, least_weight), "1", 1, 127,
     NULL, "WEIGHT", "weights nearer to 0, on a scale to 127, are left out"},
    {"seed", 0, OPTION_INTEGER, offsetof(struct train_settings, seed), "1", 0, 1e15, NULL, "NUMBER",
     "of the order of sentences"},
    {"lexicon", 0, OPTION_TEXT, offsetof(struct train_settings, lexicon), NULL, 0, 0, NULL, "FILE",
     "lexicon, instead of the one inside the program"},
    {"score", 's', OPTION_LIST, offsetof(struct train_settings, score), NULL, 0, 0, NULL, "FILE",
     "tagged text to measure the tagger on"},
    {"output", 'o', OPTION_TEXT, offsetof(struct train_settings, output), NULL, 0, 0, NULL, "FILE",
     "the tagger to write"},
};

static const struct option_table train_table = {
    .command = "prior train-tagger",
    .operands = "TAGGED...",
    .summary = "Trains the part-of-speech tagger on files of words and Penn tags (word TAB tag, "
               "sentences divided by blank lines, plain or gzip); a file given twice counts twice.",
    .options = train_options,
    .count = sizeof train_options / sizeof *train_options,
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

static enum vqct_status train_and_score(const struct train_settings *settings,
                                        const struct pos_corpus *corpus, struct language *language,
                                        struct vqct_error *error) {
  struct progress progress;
  struct pos_training training = {.rounds = (int)settings->rounds,
                                  .least_count = (int)settings->least_count,
                                  .least_weight = (int)settings->least_weight,
                                  .seed = (uint64_t)settings->seed,
                                  .progress = show_round,
                                  .argument = &progress};
  struct vqct_bytes block;
  progress_start(&progress, "rounds", (size_t)training.rounds, 0);
  enum vqct_status status = pos_train(corpus, &language->lexicon, &training, &block, error);
  progress_clear(&progress);
  if (status == VQCT_OK)
    status = pos_model_open(block.data, block.size, &language->tagger, error);
  if (status == VQCT_OK)
    status = print_scores(language, &settings->score, error);
  if (status == VQCT_OK)
    status = atomic_file_save(settings->output, block.data, block.size, error);
  if (status == VQCT_OK)
    printf("%zu sentences, %zu words, %zu tags; %zu bytes\n", corpus->sentences, corpus->words,
           corpus->tags, block.size);
  free(block.data);
  return status;
}

static enum vqct_status train_tagger(const void *values, const struct options_found *found,
                                     struct arena *arena, struct vqct_error *error) {
  const struct train_settings *settings = values;
  struct language language = {0};
  struct pos_corpus corpus = {0};
  (void)arena;
  if (!settings->output)
    return error_set(error, VQCT_INVALID, "--output is missing");
  enum vqct_status status = language_lexicon(settings->lexicon, &language.lexicon, error);
  if (status == VQCT_OK)
    status = pos_corpus_read((const char *const *)found->operands, (size_t)found->operand_count,
                             &corpus, error);
  if (status == VQCT_OK)
    status = train_and_score(settings, &corpus, &language, error);
  pos_corpus_free(&corpus);
  language_close(&language);
  return status;
}

static enum vqct_status run_train_tagger(int argc, char **argv, struct vqct_error *error) {
  struct train_settings settings;
  return command_run(&train_table, argc, argv, &settings, train_tagger, error);
}

const struct command prior_train_tagger_command = {
    "train-tagger", "train the part-of-speech tagger", run_train_tagger};

/* ---- tag ---- */

struct tag_settings {
  const char *tagger, *lexicon;
  struct option_list score;
};

static const struct option tag_options[] = {
    {"score", 's', OPTION_LIST, offsetof(struct tag_settings, score), NULL, 0, 0, NULL, "FILE",
     "tagged text to measure the tagger on"},
    {"tagger", 0, OPTION_TEXT, offsetof(struct tag_settings, tagger), NULL, 0, 0, NULL, "FILE",
     "part-of-speech tagger, instead of the one inside the program"},
    {"lexicon", 0, OPTION_TEXT, offsetof(struct tag_settings, lexicon), NULL, 0, 0, NULL, "FILE",
     "lexicon, instead of the one inside the program"},
};

static const struct option_table tag_table = {
    .command = "prior tag",
    .operands = "[CAPTIONS...]",
    .summary = "Prints captions with a tag behind each word, as `prior build` sees them.",
    .options = tag_options,
    .count = sizeof tag_options / sizeof *tag_options,
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

static enum vqct_status tag(const void *values, const struct options_found *found,
                            struct arena *arena, struct vqct_error *error) {
  const struct tag_settings *settings = values;
  struct language language;
  struct tagging tagging = {.language = &language};
  struct caption_taker taker = {print_tags, &tagging};
  struct caption_counts counts = {0};
  (void)arena;
  enum vqct_status status = language_open(settings->lexicon, settings->tagger, &language, error);
  if (status != VQCT_OK)
    return status;
  status = print_scores(&language, &settings->score, error);
  for (int i = 0; i < found->operand_count && status == VQCT_OK; i++)
    status = captions_read(found->operands[i], &taker, &counts, error);
  vocabulary_scratch_free(&tagging.scratch);
  language_close(&language);
  return status;
}

static enum vqct_status run_tag(int argc, char **argv, struct vqct_error *error) {
  struct tag_settings settings;
  return command_run(&tag_table, argc, argv, &settings, tag, error);
}

const struct command prior_tag_command = {"tag", "print captions with their parts of speech",
                                          run_tag};
