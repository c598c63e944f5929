#include "tagger_scores.h"

#include <stdio.h>

#include "pos_train.h"
#include "progress.h"

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

enum vqct_status tagger_print_scores(const struct language *language,
                                     const struct option_list *files, struct vqct_error *error) {
  enum vqct_status status = VQCT_OK;
  for (size_t i = 0; i < files->count && status == VQCT_OK; i++)
    status = print_score(language, files->items[i], error);
  return status;
}
