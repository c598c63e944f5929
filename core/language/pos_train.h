/* Teaching the part-of-speech tagger: an averaged perceptron (Collins 2002) over sentences that
 * somebody tagged by hand. */
#ifndef LANGUAGE_POS_TRAIN_H
#define LANGUAGE_POS_TRAIN_H

#include "pos_model.h"

/** Sentences of lower-case words with their tags. */
struct pos_corpus {
  size_t sentences, words;
  struct word *word; /* words */
  uint8_t *tag;      /* words: number of the tag */
  size_t *first;     /* sentences + 1: where each begins */
  size_t tags;
  char name[POS_TAGS_MAX][POS_TAG_BYTES];
  struct word_table forms; /* holds the words' texts */
};

/** Reads files (plain or gzip) of lines "word TAB tag", sentences divided by blank lines, one file
 * after another; a file that is named several times counts as often. Errors: READ, DATA (naming
 * file and line), MEMORY. The corpus is then empty. */
enum vqct_status pos_corpus_read(const char *const *paths, size_t files, struct pos_corpus *corpus,
                                 struct vqct_error *error);

/** Frees it; a record of zeros is allowed. */
void pos_corpus_free(struct pos_corpus *corpus);

struct pos_training {
  int rounds;       /* over the corpus, at least 1 */
  int least_count;  /* features seen less often are left out, at least 1 */
  int least_weight; /* weights nearer to 0, of 127, are left out, at least 1 */
  uint64_t seed;    /* of the order of sentences */
  /** Told after each round; may be NULL. */
  void (*progress)(void *argument, int round, size_t wrong, size_t words);
  void *argument;
};

/** Trains a model and writes its block, as pos_model.h describes it; the caller frees block->data.
 * The same corpus and settings give the same bytes. Errors: DATA (an empty corpus), MEMORY. */
enum vqct_status pos_train(const struct pos_corpus *corpus, const struct lexicon *lexicon,
                           const struct pos_training *training, struct vqct_bytes *block,
                           struct vqct_error *error);

/** How well a model does on a corpus. */
struct pos_score {
  size_t words, correct; /* correct: the very tag */
  struct {
    size_t actual, given, both;
  } class[POS_NOUN + 1]; /* by enum pos_class */
};

/** Tags the corpus's words and compares. Errors: MEMORY. */
enum vqct_status pos_evaluate(const struct pos_model *model, const struct lexicon *lexicon,
                              const struct pos_corpus *corpus, struct pos_score *score,
                              struct vqct_error *error);

/** The F1 measure of a class, 0 to 1. */
double pos_score_f1(const struct pos_score *score, enum pos_class class);

#endif
