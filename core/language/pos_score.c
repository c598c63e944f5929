#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "pos_train.h"

static void count_tag(const struct pos_model *model, const char *actual, uint8_t given,
                      struct pos_score *score) {
  enum pos_class class = pos_class_of(actual), guess = model->class[given];
  score->words++;
  score->correct += !strcmp(actual, model->tag[given]);
  score->class[class].actual++;
  score->class[guess].given++;
  score->class[class].both += class == guess;
}

enum vqct_status pos_evaluate(const struct pos_model *model, const struct lexicon *lexicon,
                              const struct pos_corpus *corpus, struct pos_score *score,
                              struct vqct_error *error) {
  struct pos_scratch scratch = {0};
  uint8_t *tags = malloc(corpus->words);
  bool room = tags != NULL;
  *score = (struct pos_score){0};
  for (size_t s = 0; room && s < corpus->sentences; s++) {
    size_t first = corpus->first[s], count = corpus->first[s + 1] - first;
    room = pos_tag(model, lexicon, corpus->word + first, count, &scratch, tags);
    for (size_t i = 0; room && i < count; i++)
      count_tag(model, corpus->name[corpus->tag[first + i]], tags[i], score);
  }
  pos_scratch_free(&scratch);
  free(tags);
  return room ? VQCT_OK : error_set(error, VQCT_MEMORY, "no memory to tag");
}

double pos_score_f1(const struct pos_score *score, enum pos_class class) {
  size_t sum = score->class[class].actual + score->class[class].given;
  return sum ? 2.0 * (double)score->class[class].both / (double)sum : 0;
}
